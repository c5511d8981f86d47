"""The check of a camera says what is right or wrong, in bounded time, and never raises."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer.check import check_camera
from streamer.settings import CameraSettings
from tests.rig.servers import MjpegServer, RtspServer, SilentServer, free_port


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
    assert report.url == f"rtsp://***@127.0.0.1:{server.port}/live"
    assert "hunter2" not in repr(report)


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


@pytest.mark.parametrize(
    ("user_info", "code"),
    [("me:p@ss/w#rd:x@", None), ("me:wrong@", "auth"), ("", "auth")],
    ids=["right", "wrong", "none"],
)
async def test_an_http_camera_wants_its_password(user_info: str, code: str | None) -> None:
    server = MjpegServer(user_info="me:p@ss/w#rd:x")
    try:
        report = await check_camera(settings(f"http://{user_info}127.0.0.1:{server.port}/video"))
    finally:
        server.close()

    assert (report.error and report.error.code) == code
    assert report.ok == (code is None)
    if report.ok:
        assert report.codec == "mjpeg"
        assert report.fps_measured == pytest.approx(10, abs=3)
    assert "p@ss" not in repr(report)
