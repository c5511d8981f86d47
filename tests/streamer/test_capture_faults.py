"""Every fault a camera can have, on real servers: a state and a sentence, the others undisturbed, and it comes back."""

import asyncio
import gc
import itertools
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest

from streamer.capture import Camera
from streamer.clock import WallClock
from streamer.patience import Patience
from streamer.source import open_source
from tests.rig.clips import number_in
from tests.rig.servers import SilentServer
from tests.rig.streams import HttpServer, SlammingServer, a_few_pictures, in_real_time
from tests.streamer.watching import FPS, Servers, counting_clip, holds, settings, take, until

QUICK = Patience(open=1, read=1, stale=0.5, stall=5, hang=5, first_pause=0.1, longest_pause=0.2, auth_pause=0.2)


async def test_a_silent_camera_is_told_and_tried_again() -> None:
    server = SilentServer()
    try:
        url = f"rtsp://127.0.0.1:{server.port}/live"
        async with Camera(settings(url), arrived=asyncio.Event(), patience=QUICK) as camera:
            await until(camera, "offline", within_seconds=5)
            assert camera.state.error is not None
            assert camera.state.error.code == "timeout"
            assert "does not answer" in str(camera.state.error)
            await holds(lambda: camera.num_reconnects > 0)
    finally:
        server.close()


@pytest.mark.rtsp
async def test_a_camera_that_stops_is_stale_then_offline_and_comes_back_when_it_goes_on(
    serve: Servers, clip: Path
) -> None:
    server, arrived = serve({"live": clip}), asyncio.Event()

    async with Camera(settings(server.url(), fps=FPS), arrived=arrived, patience=QUICK) as camera:
        before = await take(camera, arrived, 3)
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            await until(camera, "stale", within_seconds=3)
            await until(camera, "offline", within_seconds=5)
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        error = camera.state.error
        assert error is not None
        assert error.code == "timeout"
        assert "stopped sending" in str(error)
        await until(camera, "live", within_seconds=10)
        camera.take_nowait()
        after = await take(camera, arrived, 3)

        assert camera.state.error is None
        assert camera.state.last_error is not None
        assert camera.state.last_error.code == "timeout"
        assert camera.state.last_error_seconds is not None
        assert camera.num_abandoned == 0

    times = [frame.time_seconds for frame in before + after]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))


@pytest.mark.rtsp
async def test_a_freeze_of_12_s_is_stale_then_offline_then_over_with_the_usual_patience(
    serve: Servers, clip: Path
) -> None:
    server, arrived = serve({"live": clip}), asyncio.Event()
    statuses, began = [], time.monotonic()

    async with Camera(settings(server.url(), fps=FPS), arrived=arrived) as camera:
        await take(camera, arrived, 3)
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            for status in ("stale", "offline"):
                await until(camera, status, within_seconds=15)
                statuses.append((status, time.monotonic() - began))
            await asyncio.sleep(max(0.0, began + 12 - time.monotonic()))
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        await until(camera, "live", within_seconds=10)
        camera.take_nowait()
        after = await take(camera, arrived, 2)
        assert camera.num_abandoned == 0

    assert statuses == [("stale", pytest.approx(5.5, abs=1.5)), ("offline", pytest.approx(10.5, abs=1.5))]
    assert not after[-1].gap_before


async def test_another_codec_on_the_same_connection_is_told_as_such_and_then_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streamer")
    first = counting_clip(tmp_path, name="first.ts", num_frames=30)
    other = counting_clip(tmp_path, name="other.ts", num_frames=200, codec="libx265", width=480, height=360)
    streams = iter([(first, other)])
    server, arrived = HttpServer({"/ts": lambda: in_real_time(*next(streams, (other,)))}), asyncio.Event()
    patience = Patience(stale=1, read=3, first_pause=0.1, longest_pause=0.2)

    try:
        async with Camera(settings(server.url("/ts"), fps=FPS), arrived=arrived, patience=patience) as camera:
            await take(camera, arrived, 1)
            await until(camera, "stale", within_seconds=10)
            await until(camera, "offline", within_seconds=5)
            error = camera.state.error
            camera.take_nowait()
            after = await take(camera, arrived, 2)

            assert camera.num_reconnects == 1
            assert camera.num_abandoned == 0
    finally:
        server.close()

    assert error is not None
    assert error.code == "codec"
    assert "sends data, but no good picture for 3 s; its codec or size may have changed" in str(error)
    assert re.search(r"stale: no picture for [12] s", caplog.text), "packets are no pictures"
    assert [frame.pixels.shape for frame in after] == [(360, 480, 3)] * 2


@pytest.mark.rtsp
async def test_another_codec_and_size_after_a_restart_are_no_matter(serve: Servers, clip: Path, tmp_path: Path) -> None:
    other = counting_clip(tmp_path, name="other.mp4", codec="libx265", width=480, height=360, num_frames=100)
    server, arrived = serve({"live": clip}), asyncio.Event()

    async with Camera(settings(server.url(), fps=FPS), arrived=arrived, patience=QUICK) as camera:
        (before,) = await take(camera, arrived, 1)
        server.kill()
        serve({"live": other}, port=server.port)
        await until(camera, "offline")
        camera.take_nowait()
        after = await take(camera, arrived, 2)

    assert before.pixels.shape == (240, 320, 3)
    assert [frame.pixels.shape for frame in after] == [(360, 480, 3)] * 2
    assert [frame.gap_before for frame in after] == [True, False]
    assert number_in(after[1].pixels) is not None


@pytest.mark.rtsp
async def test_one_frame_per_second_is_a_live_camera(serve: Servers, tmp_path: Path) -> None:
    slow = counting_clip(tmp_path, fps=1, num_frames=30, options={"g": "1"})
    server, arrived = serve({"live": slow}), asyncio.Event()

    async with Camera(settings(server.url()), arrived=arrived) as camera:
        taken = await take(camera, arrived, 4)

        assert camera.state.status == "live"
        assert camera.fps == pytest.approx(1, abs=0.3)

    steps = np.diff([frame.time_seconds for frame in taken])
    assert steps == pytest.approx(np.ones(3), abs=0.3)
    assert not any(frame.gap_before for frame in taken)


class SkewedClock(WallClock):
    """A wall clock whose system clock can be set."""

    skew_seconds = 0.0

    def seconds_at(self, *, system_seconds: float, monotonic_seconds: float) -> float:
        return super().seconds_at(
            system_seconds=system_seconds + self.skew_seconds, monotonic_seconds=monotonic_seconds
        )


@pytest.mark.rtsp
@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_a_system_clock_that_jumps_loses_no_frame_not_even_after_a_reconnect(
    serve: Servers, clip: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    """It is this process's clock that jumps, and the only one that counts: a child has none of its own."""
    clock = SkewedClock()
    clock.skew_seconds = 7200.0
    monkeypatch.setattr("streamer.clock._process_clock", clock)
    server, arrived = serve({"live": clip}), asyncio.Event()

    wanted = settings(server.url(), fps=60, isolation=isolation)
    async with Camera(wanted, arrived=arrived, patience=Patience(first_pause=0.1, longest_pause=0.2)) as camera:
        taken = await take(camera, arrived, 5)
        late_before = camera.counts.num_late
        clock.skew_seconds = 10800.0
        taken += await take(camera, arrived, 5)
        clock.skew_seconds = 0.0
        taken += await take(camera, arrived, 10)

        assert camera.state.status == "live"
        assert camera.num_reconnects == 0
        assert camera.counts.num_late == late_before

        server.kill()
        await until(camera, "offline")
        camera.take_nowait()
        serve({"live": clip}, port=server.port)
        again = await take(camera, arrived, 10)

    times = [frame.time_seconds for frame in taken + again]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    numbers = [number_in(frame.pixels) for frame in taken]
    assert numbers == sorted(numbers)
    assert numbers[-1] - numbers[0] <= 19 + 3, "this busy machine's own drops apart"
    numbers = [number_in(frame.pixels) for frame in again]
    assert numbers[-1] - numbers[0] <= 9 + 3
    first, second = (frame for frame in taken + again if frame.gap_before)
    assert first.time_seconds - first.gap_start_seconds == pytest.approx(3600, abs=1), "the hour that was never seen"
    assert second is again[0]
    assert 0 < second.time_seconds - second.gap_start_seconds < 60


@pytest.mark.rtsp
@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_ten_times_too_slow_a_consumer_gets_fresh_pictures(serve: Servers, clip: Path, isolation: str) -> None:
    server, arrived = serve({"live": clip}), asyncio.Event()
    lags = []

    async with Camera(settings(server.url(), fps=FPS, isolation=isolation), arrived=arrived) as camera:
        await take(camera, arrived, 1)
        for _ in range(4):
            await asyncio.sleep(10 / FPS)
            (frame,) = await take(camera, arrived, 1)
            number = number_in(frame.pixels)
            assert number is not None
            lags.append(time.monotonic() - server.feed_started_seconds() - number / FPS)

        assert camera.num_dropped >= 25

    transport_seconds = 0.1  # the server's own latency
    assert max(lags) < transport_seconds + 2 / FPS
    assert lags[-1] < lags[0] + 1 / FPS, "it does not grow"


@pytest.mark.rtsp
async def test_eleven_cameras_do_not_feel_the_twelfth(serve: Servers, clip: Path) -> None:
    names = [f"camera{number}" for number in range(11)]
    healthy, mad = serve(dict.fromkeys(names, clip)), serve({"live": clip}, corrupt=0.5)
    arrived = asyncio.Event()
    newest: dict[str, float] = {}
    longest_wait = dict.fromkeys(names, 0.0)

    async with AsyncExitStack() as stack:
        cameras = [
            await stack.enter_async_context(
                Camera(settings(healthy.url(name), fps=FPS).model_copy(update={"name": name}), arrived=arrived)
            )
            for name in names
        ]
        twelfth = await stack.enter_async_context(Camera(settings(mad.url()), arrived=arrived, patience=QUICK))
        async with asyncio.timeout(20):
            while len(newest) < len(cameras):
                await arrived.wait()
                arrived.clear()
                newest |= {camera.name: time.monotonic() for camera in cameras if camera.take_nowait()}
        began = time.monotonic()
        newest = dict.fromkeys(names, began)
        acts = iter([(0.5, signal.SIGSTOP), (1.7, signal.SIGCONT), (2.0, signal.SIGKILL)])
        act_seconds, act = next(acts)
        while (passed := time.monotonic() - began) < 4:
            if passed > act_seconds:
                os.kill(mad.process.pid, act)
                act_seconds, act = next(acts, (99.0, signal.SIGKILL))
            async with asyncio.timeout(2):
                await arrived.wait()
            arrived.clear()
            twelfth.take_nowait()
            for camera in cameras:
                if camera.take_nowait() is not None:
                    now = time.monotonic()
                    longest_wait[camera.name] = max(longest_wait[camera.name], now - newest[camera.name])
                    newest[camera.name] = now

        assert twelfth.state.last_error is not None
        assert [camera.state.status for camera in cameras] == ["live"] * 11
        assert [camera.num_reconnects for camera in cameras] == [0] * 11
        assert [camera.counts.num_corrupt for camera in cameras] == [0] * 11
        assert max(longest_wait.values()) < 1.0
        assert time.monotonic() - min(newest.values()) < 1.0


async def held() -> tuple[int, int, int]:
    """Bytes, threads and file descriptors: the least of some moments, since a connection may be open at any one."""
    process = psutil.Process()
    gc.collect()
    moments = []
    for _ in range(50):
        moments.append((process.memory_info().rss, process.num_threads(), process.num_fds()))
        await asyncio.sleep(0.01)
    num_bytes, num_threads, num_fds = (min(each) for each in zip(*moments, strict=True))
    return num_bytes, num_threads, num_fds


HASTY = Patience(first_pause=0.001, longest_pause=0.001, stale=100)


async def test_a_thousand_reconnects_leave_nothing_behind() -> None:
    server = SlammingServer()
    url = f"rtsp://me:hunter2@127.0.0.1:{server.port}/live"

    try:
        async with Camera(settings(url), arrived=asyncio.Event(), patience=HASTY) as camera:
            await holds(lambda: camera.num_reconnects >= 300, within_seconds=60)
            bytes_before, threads_before, fds_before = await held()
            await holds(lambda: camera.num_reconnects >= 1300, within_seconds=60)
            bytes_after, threads_after, fds_after = await held()

            assert camera.state.status == "offline"
            assert camera.num_abandoned == 0
    finally:
        server.close()

    assert bytes_after - bytes_before < 2_000_000
    assert threads_after <= threads_before
    assert fds_after <= fds_before


async def test_reconnects_of_a_stream_that_gave_pictures_leave_nothing_behind() -> None:
    """Only 300, after 100 that fill caches: each takes 30 ms, as a decoder is made and pictures are shown."""
    server, arrived = HttpServer({"/mjpeg": a_few_pictures}), asyncio.Event()
    wanted = settings(server.url("/mjpeg"), decode="cpu", fps=30)

    async def reconnect(camera: Camera, num_reconnects: int) -> None:
        async with asyncio.timeout(60):
            while camera.num_reconnects < num_reconnects:
                await arrived.wait()
                arrived.clear()
                camera.take_nowait()

    try:
        async with Camera(wanted, arrived=arrived, patience=HASTY) as camera:
            await reconnect(camera, 100)
            bytes_before, threads_before, fds_before = await held()
            seen_before, taken_before, reconnects_before = camera.num_seen, camera.num_taken, camera.num_reconnects
            await reconnect(camera, reconnects_before + 300)
            seen, taken = camera.num_seen - seen_before, camera.num_taken - taken_before
            num_reconnects = camera.num_reconnects - reconnects_before
            bytes_after, threads_after, fds_after = await held()

            assert camera.num_abandoned == 0
            assert camera.counts.num_corrupt == 0
    finally:
        server.close()

    assert seen >= num_reconnects
    assert taken > num_reconnects / 2
    assert bytes_after - bytes_before < 4_000_000, "a decoder is more than 13 kB"
    assert threads_after <= threads_before
    assert fds_after <= fds_before


class Hanging:
    """Makes sources that hang until they are released; after `count` of them it opens what was asked for."""

    def __init__(self, count: int) -> None:
        self.release = threading.Event()
        self.num_made = 0
        self._count = count

    def __call__(self, *arguments: object, **keywords: object) -> object:
        self.num_made += 1
        if self.num_made <= self._count:
            self.release.wait(30)
        return open_source(*arguments, **keywords)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    source = Hanging(1)
    yield source
    source.release.set()


IMPATIENT = Patience(hang=1.0, stall=2.0, first_pause=0.05, longest_pause=0.1)


async def test_a_thread_that_hangs_is_replaced_and_what_it_says_later_does_not_count(
    hanging: Hanging, data_folder: Path
) -> None:
    arrived = asyncio.Event()
    clip = settings(data_folder / "vtest_h264.mp4", speed=10)

    async with Camera(clip, arrived=arrived, patience=IMPATIENT, make_source=hanging) as camera:
        await until(camera, "offline", within_seconds=5)
        assert camera.state.error is not None
        assert camera.state.error.code == "timeout"
        assert "hung in its decoder" in str(camera.state.error)
        taken = await take(camera, arrived, 2)
        hanging.release.set()
        taken += await take(camera, arrived, 5)

        assert camera.num_abandoned == 1
        assert camera.state.status == "live"
    assert [frame.index for frame in taken] == list(range(7))


async def test_after_two_hanging_threads_a_process_reads_the_camera(hanging: Hanging, data_folder: Path) -> None:
    hanging._count = 99
    arrived = asyncio.Event()
    clip = settings(data_folder / "vtest_h264.mp4", speed=10)

    async with Camera(clip, arrived=arrived, patience=IMPATIENT, make_source=hanging) as camera:
        taken = await take(camera, arrived, 3)

        assert camera.num_abandoned == hanging.num_made == 2
        assert camera.state.status == "live"
    assert [frame.index for frame in taken] == [0, 1, 2]


async def test_without_a_process_there_are_never_more_than_two_hanging_threads(
    hanging: Hanging, data_folder: Path
) -> None:
    hanging._count = 2
    arrived = asyncio.Event()
    clip = settings(data_folder / "vtest_h264.mp4", speed=10, isolation="thread")

    async with Camera(clip, arrived=arrived, patience=IMPATIENT, make_source=hanging) as camera:
        await holds(lambda: camera.num_abandoned == 2)
        await asyncio.sleep(1.0)
        assert hanging.num_made == 2
        assert camera.state.status == "offline"

        hanging.release.set()
        assert await take(camera, arrived, 1)


async def test_a_disabled_camera_has_no_thread_until_it_is_enabled(data_folder: Path) -> None:
    arrived = asyncio.Event()
    clip = settings(data_folder / "vtest_h264.mp4", speed=10, enabled=False, name="door")

    def names() -> set[str]:
        return {thread.name for thread in threading.enumerate()}

    async with Camera(clip, arrived=arrived) as camera:
        assert camera.state.status == "disabled"
        assert "capture-door" not in names()

        camera.enable()
        assert camera.state.status == "connecting"
        before = await take(camera, arrived, 2)

        camera.disable()
        camera.disable()
        assert camera.state.status == "disabled"
        await holds(lambda: "capture-door" not in names())
        camera.take_nowait()
        await asyncio.sleep(0.3)
        assert camera.take_nowait() is None
        assert camera.state.status == "disabled"

        camera.enable()
        after = await take(camera, arrived, 2)
    assert [frame.index for frame in before] == [0, 1]
    assert after[0].time_seconds > before[-1].time_seconds
