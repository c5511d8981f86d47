"""Settings are read whole, and every mistake is one readable line without secrets."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer.errors import LongwatchError, SettingsError
from streamer.settings import Settings, load_settings, settings_from_sources
from tests.streamer.test_secret import MISTYPED

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        path = tmp_path / "longwatch.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def test_short_form_and_mapping_are_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONT_PASSWORD", "p@ss/w#rd")
    settings = load_settings(
        write("""
        cameras:
          front: rtsp://user:${FRONT_PASSWORD}@192.0.2.10/stream1
          yard_2: {url: "demo://yard?seed=7", fps: 0.5, masks: [[[0, 0], [0.3, 0], [0.3, 0.2]]]}
          old: {url: "clips/${CLIP:a.mp4}", speed: 4, start: "2026-11-22T14:05:00+00:00"}
        """)
    )

    assert settings.model == "bundled"
    front, yard, old = settings.cameras.values()
    assert (front.name, front.kind, front.fps, front.live) == ("front", "rtsp", 2.0, True)
    assert front.url.reveal() == "rtsp://user:p%40ss%2Fw%23rd@192.0.2.10/stream1"
    assert (yard.name, yard.kind, yard.fps, len(yard.masks[0])) == ("yard_2", "demo", 0.5, 3)
    assert (old.kind, old.live, old.speed, old.url.location) == ("file", False, 4.0, "clips/a.mp4")
    assert old.start_seconds == 1795356300.0


def test_a_cameras_own_keys_are_read(write: Write) -> None:
    settings = load_settings(
        write("""
        cameras:
          a: {url: rtsps://h/x, enabled: no, transport: udp, decode: cuda, isolation: process, verify_tls: yes}
          b: {url: rtsp://h/x, skip_still: false}
        """)
    )

    a, b = settings.cameras.values()
    assert (a.enabled, a.transport, a.decode, a.isolation, a.verify_tls, a.skip_still) == (
        *(False, "udp", "cuda", "process"),
        *(True, True),
    )
    assert (b.enabled, b.transport, b.decode, b.isolation, b.verify_tls, b.skip_still) == (
        *(True, "auto", "auto", "auto"),
        *(False, False),
    )


def test_no_secret_is_in_any_text_of_the_settings(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONT_PASSWORD", "hunter2")
    settings = load_settings(write("cameras: {front: 'rtsp://user:${FRONT_PASSWORD}@192.0.2.10/x'}"))

    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert "hunter2" not in text


def test_cameras_of_the_command_line_are_numbered() -> None:
    settings = settings_from_sources(["rtsp://h/x", "/dev/video0", "demo://yard?speed=2"], "some/model")

    assert settings.model == "some/model"
    assert [(camera.name, camera.kind, camera.live) for camera in settings.cameras.values()] == [
        ("camera1", "rtsp", True),
        ("camera2", "device", True),
        ("camera3", "demo", False),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cameras: {front: {url: rtsp://h/x, fsp: 3}}", "cameras.front.fsp: unknown key; did you mean fps?"),
        ("camera: {front: rtsp://h/x}", "camera: unknown key; did you mean cameras?"),
        ("model: x", "cameras: this key is missing"),
        ("cameras: {}", "cameras: expected it to have at least 1 item"),
        ("cameras: {front: {fps: 3}}", "cameras.front.url: this key is missing"),
        ("cameras: {front: 7}", "cameras.front: expected a mapping of keys, received '7'"),
        (
            "cameras: {front: {url: rtsp://h/x, fps: 0}}",
            "cameras.front.fps: expected it to be greater than 0, received '0'",
        ),
        (
            "cameras: {front: {url: rtsp://h/x, fps: 61}}",
            "cameras.front.fps: expected it to be less than or equal to 60",
        ),
        ("cameras: {front: {url: rtsp://h/x, fps: .nan}}", "cameras.front.fps: expected it to be"),
        ("cameras: {front: {url: rtsp://h/x, fps: fast}}", "cameras.front.fps: expected it to be a valid number"),
        ("cameras: {Front Door: rtsp://h/x}", "cameras.Front Door: a name is made of a-z, 0-9, _ and -"),
        ("cameras: {front: {name: 'B!', url: rtsp://h/x}}", "cameras.front.name: expected it to match"),
        ("cameras: {front: ftp://h/x}", "cameras.front.url: cannot open ftp://; what works: rtsp://, rtsps://"),
        ("cameras: {front: 'rtsp:///x'}", "cameras.front.url: rtsp:///x has no host"),
        ("cameras: {front: ''}", "cameras.front.url: expected it to have at least 1 character, received nothing"),
        (
            "cameras: {f: {url: rtsp://h/x, masks: [[[0, 0], [1, 1]]]}}",
            "cameras.f.masks[0]: expected it to have at least 3",
        ),
        (
            "cameras: {f: {url: rtsp://h/x, masks: [[[0, 0], [1, 1], [2, 0]]]}}",
            "cameras.f.masks[0][2][0]: expected it to be less",
        ),
        ("cameras: {f: {url: rtsp://h/x, speed: 2}}", "cameras.f: speed is for files, and rtsp://h/x is none"),
        (
            "cameras: {f: {url: http://h/x, transport: udp}}",
            "cameras.f: transport is for rtsp:// cameras, and http://h/x",
        ),
        ("cameras: {f: {url: rtsp://h/x, transport: sctp}}", "cameras.f.transport: expected it to be 'auto', 'tcp' or"),
        (
            "cameras: {f: {url: rtsp://h/x, verify_tls: true}}",
            "cameras.f: verify_tls is for rtsps:// and https://, and",
        ),
        ("cameras: {f: {url: rtsp://h/x, decode: gpu}}", "cameras.f.decode: expected it to be 'auto', 'cpu', 'cuda'"),
        (
            "cameras: {f: {url: rtsp://h/x, isolated: process}}",
            "cameras.f.isolated: unknown key; did you mean isolation?",
        ),
        (
            "cameras: {f: {url: rtsp://h/x, rules: {a: b}}}",
            "cameras.f.rules is not built yet in this version; remove it",
        ),
        ("cameras: {f: rtsp://h/x}\nweb: {port: 80}", "web is not built yet in this version; remove it"),
        ("cameras: {f: rtsp://h/x}\nmqtt: {host: h, password: p}", "mqtt: there is a password and no user; add user:"),
        ("cameras: {f: rtsp://h/x}\nmqtt: {host: h, tls_client_key: k}", "no tls_client_cert; add it"),
        ("cameras: {f: rtsp://h/x}\nmqtt: {host: h, topic_prefix: a/#}", "mqtt.topic_prefix: "),
        ("cameras: {f: rtsp://h/x}\nmqtt: {host: h, topic_prefix: $SYS}", "mqtt.topic_prefix: "),
        ("cameras: {f: rtsp://h/x}\nmqtt: {host: h, reply_prefixes: ['#']}", "mqtt.reply_prefixes[0]: "),
        (
            "cameras: {f: rtsp://h/x}\nmqtt: {host: h, frigate: {question: '{who}?'}}",
            "mqtt.frigate.question: {who} is not known; what can stand in a question: {label}, {zones}, {camera}",
        ),
        (
            "cameras: {f: {url: rtsp://h/x, keep_days: 3}}",
            "keep_days of f is for the archive, and there is none; add archive: or remove it",
        ),
        (
            "cameras: {f: {url: rtsp://h/x, keep_days: 0}}\narchive: {}",
            "cameras.f.keep_days: expected it to be greater than 0",
        ),
        (
            "cameras: {f: rtsp://h/x}\narchive: {keep_gigabytes: 0.01}",
            "archive.keep_gigabytes: expected it to be greater than or equal to 0.1",
        ),
        (
            "cameras: {f: rtsp://h/x}\nsummaries: {hour: true}",
            "summaries is not built yet in this version; remove it",
        ),
        ("cameras: {f: rtsp://h/x}\nweb: {enabled: true}", "web is not built yet in this version; remove it"),
        (
            "cameras: {f: 'rtsp://u:${LONGWATCH_NO_SUCH}@h/x'}",
            "cameras.f: the environment variable LONGWATCH_NO_SUCH is not set",
        ),
        (
            "cameras: {f: {url: rtsp://h/x, rules: {a: b}}}\nweb: {port: 80}",
            "web, cameras.f.rules are not built yet in this version; remove them",
        ),
        ("cameras: [", "line 1: not valid YAML"),
        ("cameras: \x01", "not valid YAML"),
        ("", "expected a mapping with the key cameras"),
        ("- rtsp://h/x", "expected a mapping with the key cameras"),
    ],
)
def test_a_mistake_fails_with_its_key_and_what_to_do(write: Write, text: str, message: str) -> None:
    path = write(text)

    with pytest.raises(SettingsError) as caught:
        load_settings(path)

    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2, "one for each thing that is wrong"


def test_a_wrong_address_does_not_show_its_password_and_fails(write: Write) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write("cameras: {front: {url: 'ftp://user:hunter2@h/x', fps: 99}}"))

    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in f"{error} {error!r}"
        error = error.__cause__


@pytest.mark.parametrize(("typed", "shown"), MISTYPED)
def test_an_address_without_a_clean_scheme_fails_and_asks_for_it(write: Write, typed: str, shown: str) -> None:
    path = write(json.dumps({"cameras": {"front": typed}}))

    for load in (lambda: load_settings(path), lambda: settings_from_sources([typed])):
        with pytest.raises(SettingsError) as caught:
            load()

        message = str(caught.value)
        assert f"url: {shown} is no file; is rtsp:// missing in front" in message
        assert "\n" not in message
        assert "hunter2" not in f"{message} {caught.value!r} {caught.value.__cause__} {caught.value.__cause__!r}"


def test_an_address_in_the_place_of_a_key_fails_without_its_password(write: Write) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write("cameras: {'rtsp://me:hunter2@h/x': {fps: 1}}\n'http://me:hunter2@h/x': 1"))

    assert "a name is made of" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_with_an_at_sign_in_its_name_is_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "me:you@home.mp4").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)

    (camera,) = settings_from_sources(["me:you@home.mp4"]).cameras.values()

    assert camera.kind == "file"
    assert "me:you@home.mp4" in repr(camera)


def test_a_missing_file_a_folder_and_other_bytes_fail(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name, message in (("none.yaml", "no such file"), (".", "this is a folder"), ("bytes.yaml", "not UTF-8 text")):
        with pytest.raises(LongwatchError, match=message):
            load_settings(tmp_path / name)


def test_no_camera_at_all_fails() -> None:
    with pytest.raises(SettingsError, match="no camera was given"):
        settings_from_sources([], "bundled")


def test_the_schema_for_editors_knows_both_forms_of_a_camera() -> None:
    schema = Settings.json_schema()

    known = {"model", "model_budget", "model_patience", "quantize", "cameras", "mqtt", "archive", "summaries", "web"}
    assert known == set(schema["properties"])
    assert {"type": "string"} in schema["properties"]["cameras"]["additionalProperties"]["anyOf"]
    assert "name" not in schema["$defs"]["CameraSettings"]["properties"]
    assert json.dumps(schema)


def test_what_a_remote_model_may_cost_is_set_and_its_key_is_not_shown(tmp_path):
    file = tmp_path / "cameras.yaml"
    file.write_text(
        "model: 'openai:http://s3cr3t@h:8000/v1#m'\nmodel_budget: {calls_per_hour: 30}\n"
        "model_patience: {first_word_seconds: 300}\ncameras: {front: demo://yard}\n"
    )
    settings = load_settings(file)
    assert settings.model_budget.calls_per_hour == 30
    assert settings.model_budget.tokens_per_hour == 200_000
    assert settings.model_patience.first_word_seconds == 300
    assert settings.model_patience.answer_seconds == 120
    assert "s3cr3t" not in repr(settings)
    file.write_text("model_budget: {calls_per_hour: 0}\ncameras: {front: demo://yard}\n")
    with pytest.raises(SettingsError, match=r"model_budget\.calls_per_hour"):
        load_settings(file)
    file.write_text("model_patience: {first_word_seconds: 0}\ncameras: {front: demo://yard}\n")
    with pytest.raises(SettingsError, match=r"model_patience\.first_word_seconds"):
        load_settings(file)


def test_a_key_from_the_environment_is_encoded_where_it_stands_in_a_remote_model_s_address(tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_KEY", "s3/cr#3t")
    file = tmp_path / "cameras.yaml"
    file.write_text("model: 'openai:http://${MODEL_KEY}@h/v1#m'\ncameras: {front: demo://yard}\n")
    assert load_settings(file).model == "openai:http://s3%2Fcr%233t@h/v1#m"


def test_auto_means_the_bundled_model_where_all_cameras_are_the_yard() -> None:
    yard, street = "demo://yard?seed=1", "rtsp://192.0.2.1/x"
    assert settings_from_sources([yard, yard], "auto").model_name == "bundled"
    assert settings_from_sources([yard, street], "auto").model_name == "auto"
    assert settings_from_sources([yard], "owner/name").model_name == "owner/name"
