"""Cameras against real servers and files: frames come, drops are counted, lost cameras come back, nothing hangs."""

import asyncio
import gc
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer.capture import Camera
from streamer.patience import Patience
from tests.rig.servers import RtspServer, SilentServer, free_port
from tests.streamer.watching import frames, settings, take, until

Serve = Callable[..., RtspServer]


@pytest.fixture
def silent_server() -> Iterator[SilentServer]:
    server = SilentServer()
    yield server
    server.close()


@pytest.mark.rtsp
@pytest.mark.parametrize("file", ["vtest_h264.mp4", "vtest_h265.mp4"])
async def test_live_frames_arrive_at_the_cameras_rate(rtsp_server: Serve, file: str) -> None:
    server, arrived = rtsp_server(file=file), asyncio.Event()

    async with Camera(settings(server.url(), fps=10), arrived=arrived) as camera:
        taken = await take(camera, arrived, 40)
        now = time.time()

        assert camera.live
        assert camera.state.status == "live"
        assert camera.fps == pytest.approx(10, abs=2)
        assert camera.first_frame_seconds == taken[0].time_seconds
        assert camera.newest_frame_seconds == taken[-1].time_seconds
        assert camera.num_seen >= camera.num_sampled >= 40

    times = [frame.time_seconds for frame in taken]
    assert 0 <= now - times[-1] < 1
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    assert times[-1] - times[0] == pytest.approx(3.9, abs=0.8)
    assert [frame.index for frame in taken] == list(range(40))
    assert taken[0].pixels.shape == (480, 640, 3)
    assert taken[0].pixels.std() > 20
    assert not any(frame.gap_before for frame in taken)


@pytest.mark.rtsp
async def test_a_late_second_client_does_not_see_the_backlog_as_new(rtsp_server: Serve) -> None:
    server, arrived, second_arrived = rtsp_server(), asyncio.Event(), asyncio.Event()

    async with Camera(settings(server.url(), fps=10), arrived=arrived) as first:
        await take(first, arrived, 20)
        async with Camera(settings(server.url(), fps=10), arrived=second_arrived) as second:
            taken = await take(second, second_arrived, 20)

    times = [frame.time_seconds for frame in taken]
    assert all(later - earlier > 0.005 for earlier, later in itertools.pairwise(times[1:]))


@pytest.mark.rtsp
async def test_a_lost_camera_comes_back_with_a_gap_and_growing_times(
    rtsp_server: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streamer")
    server, arrived = rtsp_server(), asyncio.Event()

    async with Camera(settings(server.url(), fps=5), arrived=arrived) as camera:
        before = await take(camera, arrived, 5)
        server.kill()
        await until(camera, "offline", "connecting", within_seconds=5)
        assert camera.state.error is not None
        assert camera.state.error.code in ("lost", "refused")
        before += [frame] if (frame := camera.take_nowait()) else []

        rtsp_server(port=server.port)
        after = await take(camera, arrived, 5)

        assert camera.state.status == "live"
        assert camera.state.error is None
        assert camera.num_reconnects >= 1

    times = [frame.time_seconds for frame in before + after]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    assert [frame.gap_before for frame in after] == [True, False, False, False, False]
    assert after[0].gap_start_seconds is not None
    assert before[-1].time_seconds <= after[0].gap_start_seconds < after[0].time_seconds
    said = [record.getMessage().split(": ")[1] for record in caplog.records]
    assert said[0].startswith("connecting to rtsp://127.0.0.1:")
    assert (said[1], said[-1]) == ("live", "live")
    assert set(said[2:-1]) == {"offline"}
    assert len(said) <= 5


@pytest.mark.rtsp
async def test_a_slow_consumer_gets_the_newest_and_the_drops_are_counted(rtsp_server: Serve) -> None:
    server, arrived = rtsp_server(), asyncio.Event()

    async with Camera(settings(server.url(), fps=10), arrived=arrived) as camera:
        first = (await take(camera, arrived, 1))[0]
        await asyncio.sleep(2)
        second = camera.take_nowait()

        assert second is not None
        assert second.time_seconds - first.time_seconds > 1.5
        assert camera.now_seconds() - second.time_seconds < 0.6
        assert camera.num_dropped >= 15
        assert second.index - first.index - 1 == camera.num_dropped


@pytest.mark.rtsp
async def test_damaged_pictures_are_left_out_and_counted(rtsp_server: Serve) -> None:
    server, arrived = rtsp_server(corrupt=0.5), asyncio.Event()

    async with Camera(settings(server.url(), fps=10), arrived=arrived) as camera:
        await take(camera, arrived, 15)

        assert camera.state.status == "live"
        assert camera.counts.num_corrupt > 0


@pytest.mark.rtsp
@pytest.mark.parametrize("kind", ["basic", "digest"])
async def test_a_hard_password_opens_the_camera(rtsp_server: Serve, kind: str) -> None:
    server, arrived = rtsp_server(auth=(kind, "me", "p@ss/w#rd:x")), asyncio.Event()

    async with Camera(settings(server.url(user_info="me:p@ss/w#rd:x")), arrived=arrived) as camera:
        assert await take(camera, arrived, 1)


@pytest.mark.rtsp
async def test_a_wrong_password_is_told_and_never_shown(rtsp_server: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = rtsp_server(auth=("digest", "me", "right"))

    async with Camera(settings(server.url(user_info="me:hunter2@/#")), arrived=asyncio.Event()) as camera:
        await until(camera, "offline")
        error = camera.state.error

    assert error is not None
    assert error.code == "auth"
    assert "check them in the address" in str(error)
    shown = [*caplog.messages, *(repr(record.__dict__) for record in caplog.records), str(error), repr(error)]
    shown += [repr(camera.state), repr(camera.settings), repr(error.__cause__)]
    assert "hunter2" not in " ".join(shown)


async def test_a_silent_camera_is_left_at_once(silent_server: SilentServer, caplog: pytest.LogCaptureFixture) -> None:
    url = f"rtsp://me:hunter2@127.0.0.1:{silent_server.port}/live"

    async with Camera(settings(url), arrived=asyncio.Event()) as camera:
        await asyncio.to_thread(silent_server.accepted.wait, 5)
        assert camera.state.status == "connecting"
        started = time.monotonic()

    assert time.monotonic() - started < 2
    assert "left behind" in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_file_loses_nothing_and_ends(data_folder: Path) -> None:
    arrived, start_seconds = asyncio.Event(), 1_700_000_000.0
    file = settings(data_folder / "vtest_h264.mp4", start=start_seconds)

    async with Camera(file, arrived=arrived) as camera:
        taken = []
        async for frame in frames(camera, arrived):
            assert camera.now_seconds() == frame.time_seconds
            taken.append(frame)
        assert camera.state.status == "ended"
        assert camera.state.error is None

    assert not camera.live
    assert (camera.num_seen, camera.num_sampled, camera.num_dropped) == (795, 159, 0)
    assert [frame.index for frame in taken] == list(range(159))
    assert [frame.time_seconds for frame in taken] == [
        pytest.approx(start_seconds + index / 2, abs=1e-3) for index in range(159)
    ]
    assert taken[3].pts_seconds == pytest.approx(1.5)


async def test_a_file_waits_for_a_slow_consumer(data_folder: Path) -> None:
    arrived = asyncio.Event()

    async with Camera(settings(data_folder / "tree.avi", fps=1), arrived=arrived) as camera:
        taken = []
        async for frame in frames(camera, arrived):
            await asyncio.sleep(0.02)
            taken.append(frame)

    assert camera.num_dropped == 0
    assert len(taken) == camera.num_sampled == 30  # 68 pictures over 29.5 s, unevenly


async def test_speed_is_a_ceiling(data_folder: Path) -> None:
    arrived = asyncio.Event()

    async with Camera(settings(data_folder / "vtest_h264.mp4", speed=10), arrived=arrived) as camera:
        started = time.monotonic()
        taken = await take(camera, arrived, 21)
        passed_seconds = time.monotonic() - started

    assert taken[-1].time_seconds - taken[0].time_seconds == pytest.approx(10, abs=0.01)
    assert 0.85 < passed_seconds < 5


async def test_masks_are_black_before_anyone_sees_the_frame(data_folder: Path) -> None:
    arrived, mask = asyncio.Event(), [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]

    async with Camera(settings(data_folder / "vtest_h264.mp4", masks=[mask]), arrived=arrived) as camera:
        frame = (await take(camera, arrived, 1))[0]

    assert frame.pixels.dtype == np.uint8
    assert not frame.pixels[:240, :320].any()
    assert frame.pixels[242:, 322:].mean() > 30


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda folder: folder / "none.mp4", "not_found", "does not exist"),
        (lambda folder: folder, "codec", "is a folder, not a video"),
        (lambda folder: write(folder / "notes.txt", b"hello " * 500), "codec", "is not a video"),
        (lambda folder: write(folder / "noise.mp4", bytes(range(256)) * 50), "codec", "is not a video"),
        (lambda folder: write(folder / "empty.mp4", b""), "codec", "is empty"),
        (lambda folder: write(folder / "list.m3u8", b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:1/x.ts\n"), "codec", ""),
        (lambda _folder: f"rtsp://me:hunter2@127.0.0.1:{free_port()}/x", "refused", "refuses the connection"),
        (lambda _folder: f"rtsps://127.0.0.1:{free_port()}/x", "refused", "refuses the connection"),
        (lambda _folder: f"http://127.0.0.1:{free_port()}/x", "refused", "refuses the connection"),
        (lambda _folder: "rtsp://no-such-camera.invalid/x", "not_found", "a host that nobody knows"),
        (lambda _folder: "/dev/video99", "not_found", "ls /dev/video"),
    ],
)
async def test_a_bad_camera_stays_offline_and_says_why(
    tmp_path: Path, make: Callable[[Path], object], code: str, words: str
) -> None:
    async with Camera(settings(make(tmp_path)), arrived=asyncio.Event()) as camera:
        await until(camera, "offline")
        error = camera.state.error

    assert error is not None
    assert error.code == code
    assert words in str(error)
    assert "\n" not in str(error)
    assert "hunter2" not in str(error)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.rtsp
async def test_an_unknown_path_is_told(rtsp_server: Serve) -> None:
    server = rtsp_server()

    async with Camera(settings(server.url("none")), arrived=asyncio.Event()) as camera:
        await until(camera, "offline")

        assert camera.state.error is not None
        assert camera.state.error.code == "not_found"
        assert "no stream at this path" in str(camera.state.error)


@pytest.mark.rtsp
async def test_a_frozen_camera_is_stale_and_goes_on_after_a_gap(rtsp_server: Serve) -> None:
    server, arrived = rtsp_server(), asyncio.Event()

    async with Camera(settings(server.url(), fps=10), arrived=arrived, patience=Patience(stale=1.0)) as camera:
        await take(camera, arrived, 3)
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            await until(camera, "stale", within_seconds=5)
            await asyncio.sleep(3)  # longer than what is still shown as it catches up
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        last = camera.take_nowait()
        assert last is None or not last.gap_before
        taken = await take(camera, arrived, 2)
        assert camera.state.status == "live"
        assert camera.num_reconnects == 0

    assert [frame.gap_before for frame in taken] == [True, False]
    assert taken[0].gap_start_seconds is not None
    assert taken[0].time_seconds - taken[0].gap_start_seconds > 1


@pytest.mark.rtsp
async def test_opening_again_and_again_leaks_nothing(rtsp_server: Serve) -> None:
    server, refused = rtsp_server(), f"rtsp://127.0.0.1:{free_port()}/x"

    async def open_and_leave() -> None:
        arrived = asyncio.Event()
        async with Camera(settings(server.url(), fps=10), arrived=arrived) as camera:
            await take(camera, arrived, 1)
        async with Camera(settings(refused), arrived=asyncio.Event()) as camera:
            await until(camera, "offline")

    def held() -> tuple[int, int]:
        gc.collect()
        return len([t for t in threading.enumerate() if t.name.startswith("capture-")]), len(
            os.listdir("/proc/self/fd")
        )

    for _ in range(2):
        await open_and_leave()
    before = held()
    for _ in range(18):
        await open_and_leave()

    assert held()[0] <= before[0]
    assert held()[1] <= before[1] + 1


class _Drawn:
    """A picture that needs no file; drawing it may fail."""

    pts_seconds = None

    def __init__(self, time_seconds: float, *, fails: bool = False) -> None:
        self.time_seconds = time_seconds
        self._fails = fails

    def rgb(self) -> np.ndarray:
        if self._fails:
            raise ZeroDivisionError("a fault in a source")
        return np.zeros((4, 4, 3), np.uint8)

    def gray(self, width: int) -> np.ndarray:
        return np.full((width, width), int(self.time_seconds * 97) % 250, np.uint8)


class _Drawing:
    """A paced or live source of given pictures."""

    def __init__(self, pictures: list[_Drawn], *, live: bool) -> None:
        self.live = live
        self._pictures = pictures

    def __enter__(self) -> "_Drawing":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __iter__(self) -> Iterator[_Drawn]:
        return iter(self._pictures)


async def test_a_hole_in_a_recording_is_a_gap_and_a_time_lapse_is_none() -> None:
    times = [0.0, 1.0, 2.0, 3600.0, 3601.0, *(3601.0 + 60 * index for index in range(1, 5))]
    pictures = [_Drawn(1_000.0 + time) for time in times]
    arrived = asyncio.Event()
    camera = Camera(settings("clip.mp4"), arrived=arrived, make_source=lambda *_, **__: _Drawing(pictures, live=False))
    async with camera:
        taken = await take(camera, arrived, len(times))
    gaps = {frame.time_seconds - 1_000.0: frame.gap_start_seconds for frame in taken if frame.gap_before}
    assert gaps == {3600.0: 1_002.0, 3661.0: 4_601.0}, "the first step of the time lapse cannot be told from a hole"


async def test_a_fault_in_a_source_does_not_end_the_camera(caplog: pytest.LogCaptureFixture) -> None:
    opened = itertools.count()

    def make_source(*_: object, **__: object) -> _Drawing:
        fails = next(opened) == 0
        now = time.time()
        return _Drawing([_Drawn(now + index, fails=fails) for index in range(3)], live=True)

    arrived = asyncio.Event()
    with caplog.at_level(logging.INFO, logger="streamer"):
        async with Camera(settings("rtsp://127.0.0.1:1/live"), arrived=arrived, make_source=make_source) as camera:
            (frame,) = await take(camera, arrived, 1)
    assert frame.gap_before is False or frame.gap_start_seconds is not None
    assert "a fault in the program" in caplog.text
