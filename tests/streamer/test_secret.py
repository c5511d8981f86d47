"""A camera's address shows no secret, and still opens the camera."""

import pickle
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from streamer.secret import SecretUrl, redact

HARD = "rtsp://u:p@ss/w#rd:x@127.0.0.1:554/live"


@pytest.mark.parametrize(
    ("typed", "shown", "revealed"),
    [
        ("rtsp://u:pw@h/x", "rtsp://***@h/x", "rtsp://u:pw@h/x"),
        (HARD, "rtsp://***@127.0.0.1:554/live", "rtsp://u:p%40ss%2Fw%23rd%3Ax@127.0.0.1:554/live"),
        ("rtsp://u:p%40ss@h/x", "rtsp://***@h/x", "rtsp://u:p%40ss@h/x"),
        ("rtsp://u:50%@h/x", "rtsp://***@h/x", "rtsp://u:50%25@h/x"),
        ("rtsp://u@h/x", "rtsp://***@h/x", "rtsp://u@h/x"),
        ("RTSP://192.0.2.1/cam@home", "rtsp://192.0.2.1/cam@home", "rtsp://192.0.2.1/cam@home"),
        ("rtsp://u:pw@192.0.2.1/cam@home", "rtsp://***@192.0.2.1/cam@home", "rtsp://u:pw@192.0.2.1/cam@home"),
        ("rtsp://cam.lan/x?notify=a@b.com", "rtsp://cam.lan/x?notify=a@b.com", "rtsp://cam.lan/x?notify=a@b.com"),
        ("rtsp://[fe80::1]:554/x", "rtsp://[fe80::1]:554/x", "rtsp://[fe80::1]:554/x"),
        ("http://h/c?user=me&pwd=a/b&z=1", "http://h/c?user=***&pwd=***&z=1", "http://h/c?user=me&pwd=a/b&z=1"),
        ("rtsp://h/user=me_password=pw.sdp", "rtsp://h/user=***", "rtsp://h/user=me_password=pw.sdp"),
        ("/clips/a@b: c.mp4", "/clips/a@b: c.mp4", "/clips/a@b: c.mp4"),
        ("file:///clips/a%20b.mp4", "/clips/a b.mp4", "/clips/a b.mp4"),
    ],
)
def test_an_address_is_shown_without_and_opened_with_its_secrets(typed: str, shown: str, revealed: str) -> None:
    url = SecretUrl.parse(typed)

    assert str(url) == shown
    assert repr(url) == f"SecretUrl({shown!r})"
    assert f"{url}" == shown
    assert url.reveal() == revealed


@pytest.mark.parametrize("typed", ["rtsp://u:p@ss/w@host/x", "rtsp://admin:12/34@10.0.0.5/x"])
def test_where_the_password_ends_is_unclear_too_much_is_hidden(typed: str) -> None:
    shown = str(SecretUrl.parse(typed))

    assert shown.startswith("rtsp://***@")
    assert "ss" not in shown
    assert "34" not in shown


MISTYPED = [
    ("admin:hunter2@192.168.1.10/stream1", "***@192.168.1.10/stream1"),
    ("rtsp:/admin:hunter2@h/x", "***@h/x"),
    ("rtsp:admin:hunter2@h/x", "***@h/x"),
    ("rtsp//admin:hunter2@h/x", "***@h/x"),
    ("//admin:hunter2@h/x", "***@h/x"),
    ("/admin:hunter2@h/x", "***@h/x"),
    ("admin:hun@ter2@h/x?p=hunter2", "***@h/x?p=***"),
    ("ffmpeg:rtsp://admin:hunter2@h/x", "***@h/x"),
    ("-i rtsp://admin:hunter2@h/x", "***@h/x"),
    ("file:admin:hunter2@h/x", "***@h/x"),
    ('"rtsp://admin:hunter2@h/x"', '***@h/x"'),
    ("'http://h/x?user=me&pwd=hunter2'", "'http://h/x?user=***&pwd=***'"),
    ("192.168.1.10/cgi?user=me&password=hunter2", "192.168.1.10/cgi?user=***&password=***"),
    ("rtsp:/admin:hunter2/192.168.1.10/x", "rtsp:/***/192.168.1.10/x"),
    ("192.168.1.10:554/x", "192.168.1.10:554/x"),
    ("rtsp:/192.168.1.10/x", "rtsp:/192.168.1.10/x"),
]


@pytest.mark.parametrize(("typed", "shown"), MISTYPED)
def test_a_mistyped_address_shows_no_password_either(typed: str, shown: str) -> None:
    url = SecretUrl.parse(typed)

    assert url.is_mistyped
    assert str(url) == shown
    assert repr(url) == f"SecretUrl({shown!r})"
    assert "hunter2" not in redact(f"no such file: {typed!r}, {url.reveal()}", url)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("rtsp:///admin:hunter2@h/x", "rtsp://***@h/x"),
        ("rtsp://admin:hunter2/192.168.1.10/x", "rtsp://***/192.168.1.10/x"),
        ("rtsp://admin:hunter2%40192.168.1.10/x", "rtsp://***/x"),
        ("rtsp://10.0.0.1/x rtsp://admin:hunter2@10.0.0.2/x", "rtsp://10.0.0.1/x rtsp://***@10.0.0.2/x"),
        ("http://10.0.0.1/api?src=rtsp://admin:hunter2@10.0.0.2/x", "http://10.0.0.1/api?src=rtsp://***@10.0.0.2/x"),
    ],
)
def test_a_password_in_the_wrong_place_of_an_address_is_hidden(typed: str, shown: str) -> None:
    assert str(SecretUrl.parse(typed)) == shown


@pytest.mark.parametrize(
    "name",
    ["loginpas", "psw", "p", "pw", "authbasic", "auth", "passphrase", "passwd", "sig", "X-Amz-Signature", "api_key"],
)
def test_whatever_cameras_call_their_password_it_is_hidden(name: str) -> None:
    assert str(SecretUrl.parse(f"http://h/c?a=1&{name}=hunter2&z=1")) == f"http://h/c?a=1&{name}=***&z=1"


@pytest.mark.parametrize("query", ["step=5", "http=1", "channel=1&subtype=0", "design=3", "menu=2", "fps=5"])
def test_names_that_end_like_a_passwords_are_shown(query: str) -> None:
    assert str(SecretUrl.parse(f"http://h/c?{query}")) == f"http://h/c?{query}"


@pytest.mark.parametrize("name", ["me:you@home.mp4", "a@b.mp4", "user=1.mp4", "-i rtsp:@ 1.mp4"])
def test_a_file_that_is_there_is_shown_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)

    for typed in (name, f"file:{name}", str(tmp_path / name)):
        url = SecretUrl.parse(typed)
        assert not url.is_mistyped
        assert str(url) == url.reveal() == typed.removeprefix("file:")


@pytest.mark.parametrize(
    "typed", ["clips/none.mp4", "/clips/a@b.mp4", "~/a@b.mp4", "../http/a.mp4", "demo/a.mp4", "C:x"]
)
def test_a_missing_file_is_not_taken_for_an_address(typed: str) -> None:
    assert not SecretUrl.parse(typed).is_mistyped
    assert str(SecretUrl.parse(typed)) == typed


def test_foreign_texts_lose_every_spelling_of_the_secret() -> None:
    url = SecretUrl.parse(HARD)
    text = f"failed: '{url.reveal()}' and {HARD}, user u, password p@ss/w#rd:x or p%40ss%2Fw%23rd%3Ax"

    clean = redact(text, url)

    assert clean == (
        "failed: 'rtsp://***@127.0.0.1:554/live' and rtsp://***@127.0.0.1:554/live, user u, password *** or ***"
    )


def test_foreign_texts_lose_user_info_of_urls_nobody_named() -> None:
    assert redact("see http://me:secret@h/x?token=abc now") == "see http://***@h/x?token=*** now"


def test_pydantic_reads_it_and_writes_it_hidden() -> None:
    adapter = TypeAdapter(SecretUrl)

    url = adapter.validate_python("rtsp://u:secret@h/x")

    assert adapter.validate_python(url) is url
    assert b"secret" not in adapter.dump_json(url)
    assert adapter.json_schema()["type"] == "string"
    assert pickle.loads(pickle.dumps(url)) == url
