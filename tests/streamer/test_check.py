"""The check of a camera says what is right or wrong, in bounded time, and never raises."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer.check import check_camera
from streamer.settings import CameraSettings
from tests.rig.clips import Clip, chart, encode
from tests.rig.servers import MjpegServer, RtspServer, SilentServer, free_port, start_rtsp_server

REPO = Path(__file__).parents[2]


def settings(url: object) -> CameraSettings:
    return CameraSettings.model_validate({"name": "front", "url": str(url)})


@pytest.mark.rtsp
async def test_a_good_camera_is_described(rtsp_server: Callable[..., RtspServer]) -> None:
    server = rtsp_server(auth=("basic", "me", "hunter2"))

    report = await check_camera(settings(server.url(user_info="me:hunter2")))

    assert report.ok
    assert report.error is None
    assert (report.camera, report.codec, report.width, report.height) == ("front", "h264", 768, 576)
    assert report.fps_measured == pytest.approx(10, abs=2)
    assert report.first_frame_seconds is not None
    assert report.first_frame_seconds < 5
    assert (report.live, report.transport, report.reachable, report.authorised) == (True, "tcp", True, True)
    assert report.decoder is not None
    assert report.decoder.startswith("h264")
    assert report.key_frame_seconds == pytest.approx(2, abs=0.3)
    assert not report.is_key_frame_bound
    assert report.lag_seconds is not None
    assert report.lag_seconds < 0.2
    assert report.advice == ()
    assert report.url == f"rtsp://***@127.0.0.1:{server.port}/live"
    assert "hunter2" not in repr(report)


@pytest.mark.rtsp
async def test_a_main_stream_gets_advice(tmp_path: Path) -> None:
    clip = Clip(width=1920, height=1080, fps=5, options={"g": "60", "keyint_min": "60", "sc_threshold": "0"})
    path = encode(tmp_path / "main.mp4", (chart(1920, 1080, number) for number in range(60)), clip)
    server = start_rtsp_server({"h264Preview_01_main": path}, port=free_port(), auth=("digest", "me", "hunter2"))
    try:
        report = await check_camera(settings(server.url("h264Preview_01_main", user_info="me:hunter2")))
    finally:
        server.stop()

    assert report.ok
    assert (report.width, report.height) == (1920, 1080)
    assert report.is_key_frame_bound
    assert report.key_frame_seconds is not None
    assert 4 < report.key_frame_seconds < 8
    assert len(report.advice) == 2
    assert report.advice[0].endswith(f"(Reolink): rtsp://***@127.0.0.1:{server.port}/h264Preview_01_sub")
    assert "I-frame interval to 1 to 2 s (5 to 10 frames)" in report.advice[1]
    assert "hunter2" not in repr(report) + json.dumps(report.to_json())


def test_the_command_prints_one_object_per_camera(data_folder: Path) -> None:
    bad = f"rtsp://me:hunter2@127.0.0.1:{free_port()}/x"
    command = [sys.executable, "run_stream.py", "check", "--json", str(data_folder / "vtest_h264.mp4"), bad]

    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    good, refused = [json.loads(line) for line in done.stdout.splitlines()]
    assert (good["ok"], good["codec"], good["width"], good["key_frame_seconds"]) == (True, "h264", 768, 2.0)
    assert (good["reachable"], good["authorised"], good["error"], good["advice"]) == (True, True, None, [])
    assert (refused["ok"], refused["reachable"], refused["authorised"]) == (False, False, None)
    assert refused["error"]["code"] == "refused"
    assert refused["camera"] == "camera2"
    assert "hunter2" not in done.stdout + done.stderr


async def test_a_file_is_described(data_folder: Path) -> None:
    report = await check_camera(settings(data_folder / "vtest.avi"))

    assert report.ok
    assert (report.codec, report.fps_announced) == ("msmpeg4", 10.0)
    assert report.fps_measured == pytest.approx(10)


async def test_the_yard_is_described() -> None:
    report = await check_camera(settings("demo://yard?seed=7&speed=50"))

    assert report.ok
    assert (report.width, report.height) == (640, 360)


async def test_a_bad_camera_is_explained(tmp_path: Path) -> None:
    for url, code in (
        (tmp_path / "none.mp4", "not_found"),
        (f"rtsp://me:hunter2@127.0.0.1:{free_port()}/x", "refused"),
    ):
        report = await check_camera(settings(url))

        assert not report.ok
        assert report.error is not None
        assert report.error.code == code
        assert not report.reachable
        assert report.advice == ()
        assert "hunter2" not in repr(report)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
async def test_a_silent_camera_is_given_up_in_time(scheme: str) -> None:
    server, started = SilentServer(), time.monotonic()
    try:
        report = await check_camera(settings(f"{scheme}://me:hunter2@127.0.0.1:{server.port}/x"), timeout_seconds=2)
    finally:
        server.close()

    assert time.monotonic() - started < 3
    assert not report.ok
    assert report.error is not None
    assert report.error.code == "timeout"
    assert "hunter2" not in repr(report)


@pytest.mark.parametrize("auth", ["basic", "digest"])
@pytest.mark.parametrize(
    ("user_info", "code"),
    [("me:p@ss/w#rd:x@", None), ("me:wrong@", "auth"), ("", "auth")],
    ids=["right", "wrong", "none"],
)
async def test_an_http_camera_wants_its_password(user_info: str, code: str | None, auth: str) -> None:
    server = MjpegServer(user_info="me:p@ss/w#rd:x", auth=auth)
    try:
        report = await check_camera(settings(f"http://{user_info}127.0.0.1:{server.port}/video"))
    finally:
        server.close()

    assert (report.error and report.error.code) == code
    assert report.ok == (code is None)
    assert report.reachable
    assert report.authorised == (code is None)
    if report.ok:
        assert report.codec == "mjpeg"
        assert report.fps_measured == pytest.approx(10, abs=3)
    assert "p@ss" not in repr(report)
