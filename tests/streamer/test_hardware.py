"""Hardware that cannot decode is done without; a camera's own faults are not blamed on it.

No test here needs a device: one that is not there fails as a broken one does.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from av.codec.hwaccel import HWAccel, hwdevices_available

from streamer.av_source import AvSource
from streamer.capture import Camera
from streamer.errors import CameraError
from streamer.patience import Patience
from streamer.source import SourceCounts, open_source
from tests.rig.servers import free_port
from tests.rig.streams import HttpServer
from tests.streamer.watching import FPS, counting_clip, settings, take, until

QUICK = Patience(open=2, read=1, first_pause=0.1, longest_pause=0.2)
Body = Callable[[], bytes | Iterator[bytes]]
Answer = Callable[[Body], str]


@pytest.fixture
def answer() -> Iterator[Answer]:
    """`answer(body)` is the address of a camera that sends this."""
    servers: list[HttpServer] = []

    def start(body: Body) -> str:
        servers.append(HttpServer({"/ts": body}))
        return servers[-1].url("/ts")

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def broken_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that passed its test when it was looked for, and cannot be opened."""
    if "cuda" not in hwdevices_available():
        pytest.skip("this FFmpeg knows no device to fail with")
    hardware = ("cuda", HWAccel(device_type="cuda", device="99", allow_software_fallback=True))
    monkeypatch.setattr("streamer.av_source.accelerator", lambda _decode: hardware)


@pytest.mark.usefixtures("broken_device")
async def test_a_device_that_cannot_be_opened_is_done_without_from_then_on(
    answer: Answer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streamer")
    data, arrived = counting_clip(tmp_path, name="short.ts", num_frames=10).read_bytes(), asyncio.Event()

    async with Camera(settings(answer(lambda: data), fps=FPS), arrived=arrived, patience=QUICK) as camera:
        await take(camera, arrived, 1)
        assert camera.num_reconnects == 0
        assert camera.counts.hardware_failed
        await take(camera, arrived, 12)  # it has begun again by then

    (told,) = [message for message in caplog.messages if "cuda" in message]
    assert "the CPU decodes from now on" in told


@pytest.mark.usefixtures("broken_device")
async def test_a_camera_that_refuses_is_not_the_devices_fault() -> None:
    url = f"rtsp://me:hunter2@127.0.0.1:{free_port()}/live"

    async with Camera(settings(url), arrived=asyncio.Event(), patience=QUICK) as camera:
        await until(camera, "offline")
        assert camera.state.error is not None
        assert camera.state.error.code == "refused"
        assert not camera.counts.hardware_failed


def open_on_hardware(url: str, counts: SourceCounts, quit: threading.Event | None = None) -> AvSource:
    """Opened as it is, but as if a device decoded it."""
    source = open_source(
        settings(url, decode="cpu"),
        quit=quit or threading.Event(),
        counts=counts,
        open_timeout_seconds=QUICK.open,
        read_timeout_seconds=QUICK.read,
    )
    assert isinstance(source, AvSource)
    source.info = replace(source.info, decoder=f"{source.info.codec} on cuda")
    return source


def error_of(source: AvSource) -> CameraError:
    """Why it gave no picture."""
    with source, pytest.raises(CameraError) as caught:
        assert not list(source)
    return caught.value


def test_a_stream_that_breaks_off_before_its_first_picture_says_nothing_about_the_device(
    answer: Answer, pictureless: bytes
) -> None:
    counts = SourceCounts(num_packets=1000)

    error = error_of(open_on_hardware(answer(lambda: iter([pictureless])), counts))

    assert error.code == "lost"
    assert counts.num_packets > 1000
    assert not counts.hardware_failed


def test_a_stream_that_falls_silent_before_its_first_picture_says_nothing_about_the_device(
    answer: Answer, pictureless: bytes
) -> None:
    def body() -> Iterator[bytes]:
        yield pictureless
        time.sleep(3)
        yield b""

    counts = SourceCounts()

    error = error_of(open_on_hardware(answer(body), counts))

    assert error.code == "timeout"
    assert counts.num_packets > 0
    assert not counts.hardware_failed


def test_a_stream_that_is_left_before_its_first_picture_says_nothing_about_the_device(
    answer: Answer, pictureless: bytes
) -> None:
    counts, quit = SourceCounts(num_packets=1000), threading.Event()

    with open_on_hardware(answer(lambda: iter([pictureless])), counts, quit) as source:
        quit.set()
        assert not list(source)

    assert not counts.hardware_failed


def test_packets_without_a_picture_to_the_end_of_a_recording_are_the_devices_fault(
    answer: Answer, pictureless: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    counts = SourceCounts()

    error = error_of(open_on_hardware(answer(lambda: pictureless), counts))

    assert error.code == "ended"
    assert counts.hardware_failed
    assert "gave no picture decoded as h264 on cuda; the CPU is tried next" in caplog.text


def test_pictures_that_all_fail_to_decode_are_the_devices_fault(answer: Answer) -> None:
    junk = b"\xff\xd8" + b"no picture" * 20
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(junk), junk)
    counts = SourceCounts()

    error = error_of(open_on_hardware(answer(lambda: iter([part] * 1000)), counts))

    assert error.code == "codec"
    assert counts.num_corrupt > 0
    assert counts.hardware_failed
