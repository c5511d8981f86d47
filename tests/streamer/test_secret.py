"""A camera's address shows no secret, and still opens the camera."""

import pickle

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
