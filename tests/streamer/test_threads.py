"""What watches a camera's threads: one that hangs, dies or cannot be started is replaced, and few are left behind."""

import asyncio
import itertools
import logging
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer.capture import Camera
from streamer.clock import wall_seconds
from streamer.look import Looker
from streamer.patience import Patience
from streamer.source import SourceCounts, open_source
from streamer.threads import MAX_GIVEN_UP, CaptureThreads
from tests.rig.servers import SilentServer
from tests.streamer.watching import holds, settings, take, until

URL = "rtsp://me:hunter2@127.0.0.1:1/live"
QUICK = Patience(stale=0.4, stall=1.0, hang=1.0, first_pause=0.05, longest_pause=0.1)


class Picture:
    """Grey, as light as its source's number; may hang while it is converted."""

    pts_seconds = None

    def __init__(self, shade: int, hangs: threading.Event | None) -> None:
        self.time_seconds = wall_seconds()
        self._shade = shade
        self._hangs = hangs

    def rgb(self) -> np.ndarray:
        if self._hangs is not None:
            self._hangs.wait(30)
        return np.full((4, 4, 3), self._shade, np.uint8)

    def gray(self, width: int) -> np.ndarray:
        return np.full((width, width), self._shade, np.uint8)


class Sources:
    """Makes live sources: 20 pictures per second, each source in its own grey. Subclasses say what goes wrong."""

    def __init__(self) -> None:
        self.num_made = 0
        self.release = threading.Event()

    def __call__(self, *_: object, quit: threading.Event, counts: SourceCounts, **__: object) -> "Sources.Source":
        self.num_made += 1
        return Sources.Source(self, self.num_made, quit, counts)

    def picture(self, source: int, index: int) -> Picture:
        raise NotImplementedError

    class Source:
        live = True
        key_frames_only = False

        def __init__(self, made_by: "Sources", number: int, quit: threading.Event, counts: SourceCounts) -> None:
            self._made_by, self._number, self.quit, self._counts = made_by, number, quit, counts

        def __enter__(self) -> "Sources.Source":
            return self

        def __exit__(self, *_: object) -> None:
            return

        def __iter__(self) -> Iterator[Picture]:
            for index in itertools.count():
                if self.quit.wait(0.05):
                    return
                picture = self._made_by.picture(self._number, index)
                self._counts.count_arrival()
                yield picture


class Well(Sources):
    def picture(self, source: int, index: int) -> Picture:  # noqa: ARG002
        return Picture(source, None)


class FirstHangsInItsConversion(Sources):
    """From when `hang` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hang = threading.Event()

    def picture(self, source: int, index: int) -> Picture:  # noqa: ARG002
        return Picture(source, self.release if source == 1 and self.hang.is_set() else None)


class FirstDies(Sources):
    """Not even an Exception: no guard around a source catches it."""

    def picture(self, source: int, index: int) -> Picture:
        if source == 1 and index == 3:
            raise SystemExit
        return Picture(source, None)


class EachFails(Sources):
    def picture(self, source: int, index: int) -> Picture:
        if index == 2:
            raise ZeroDivisionError(f"a fault in a source of {URL}")
        return Picture(source, None)


class EachHangsAfterAWhile(Sources):
    """It comes back when it was given up, and then gives no picture more."""

    def __call__(self, *_: object, quit: threading.Event, counts: SourceCounts, **__: object) -> Sources.Source:
        self._quit = quit
        return super().__call__(quit=quit, counts=counts)

    def picture(self, source: int, index: int) -> Picture:
        if index == 8:
            self._quit.wait(30)
        return Picture(source, None)


class FirstFallsSilent(Sources):
    def picture(self, source: int, index: int) -> Picture:
        if index == 3:
            self.release.wait(30)
        return Picture(source, None)


@pytest.mark.parametrize("turned_off_and_on", [False, True], ids=["watched", "turned off and on"])
async def test_a_hang_while_a_picture_is_converted_holds_up_nobody(turned_off_and_on: bool) -> None:
    sources, arrived = FirstHangsInItsConversion(), asyncio.Event()
    camera = Camera(settings(URL, fps=20), arrived=arrived, patience=QUICK, make_source=sources)
    try:
        async with camera:
            taken = await take(camera, arrived, 3)
            sources.hang.set()
            await asyncio.sleep(0.3)
            while (frame := camera.take_nowait()) is not None:
                taken.append(frame)
            if turned_off_and_on:
                camera.disable()
                camera.enable()
            else:
                await until(camera, "offline", within_seconds=5)
                assert "hung in its decoder" in str(camera.state.error)
            taken += await take(camera, arrived, 3)
            sources.release.set()
            taken += await take(camera, arrived, 5)

            assert camera.state.status == "live"
            assert camera.num_abandoned == (0 if turned_off_and_on else 1)
    finally:
        sources.release.set()
    assert [int(frame.pixels[0, 0, 0]) for frame in taken] == [1] * 3 + [2] * 8, "what hung came too late to count"
    assert [frame.gap_before for frame in taken] == [False] * 3 + [True] + [False] * 7
    indices = [frame.index for frame in taken]
    times = [frame.time_seconds for frame in taken]
    assert indices == sorted(set(indices))
    assert times == sorted(set(times))


class NoThreads:
    """A system that gives no thread to a camera for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.num_refusals = 0
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if thread.name.startswith("capture-") and self.num_refusals:
                self.num_refusals -= 1
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> NoThreads:
    return NoThreads(monkeypatch)


async def test_a_camera_that_gets_no_thread_is_offline_and_gets_one_later(no_threads: NoThreads) -> None:
    no_threads.num_refusals, arrived = 3, asyncio.Event()

    async with Camera(settings(URL), arrived=arrived, patience=QUICK, make_source=Well()) as camera:
        assert camera.state.status == "offline"
        assert camera.state.error is not None
        assert camera.state.error.code == "lost"
        assert "no thread to read it could be started (can't start new thread)" in str(camera.state.error)
        assert await take(camera, arrived, 1)
        assert no_threads.num_refusals == 0


async def test_a_thread_that_hangs_while_there_is_no_other_is_replaced_later(no_threads: NoThreads) -> None:
    sources, arrived = FirstHangsInItsConversion(), asyncio.Event()
    try:
        async with Camera(settings(URL, fps=20), arrived=arrived, patience=QUICK, make_source=sources) as camera:
            await take(camera, arrived, 3)
            sources.hang.set()
            no_threads.num_refusals = 2
            await until(camera, "offline", within_seconds=5)
            camera.take_nowait()
            (frame,) = await take(camera, arrived, 1)
            assert frame.pixels[0, 0, 0] == 2
            assert camera.num_abandoned == 1
    finally:
        sources.release.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_dies_is_told_and_replaced() -> None:
    sources, arrived = FirstDies(), asyncio.Event()

    async with Camera(settings(URL, fps=20), arrived=arrived, patience=QUICK, make_source=sources) as camera:
        await until(camera, "offline", within_seconds=5)
        assert camera.state.error is not None
        assert camera.state.error.code == "lost"
        assert "the thread that read it ended unexpectedly" in str(camera.state.error)
        camera.take_nowait()
        frames = await take(camera, arrived, 2)
        assert camera.state.status == "live"
        assert camera.num_abandoned == 1
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [2, 2]
    assert frames[0].gap_before


async def test_a_fault_outside_of_all_guards_costs_one_thread(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lose, faults, arrived = Looker.lose, iter([MemoryError()]), asyncio.Event()

    def fail_once(looker: Looker) -> None:
        if threading.current_thread() is not threading.main_thread():
            for error in faults:
                raise error
        lose(looker)

    monkeypatch.setattr(Looker, "lose", fail_once)
    async with Camera(settings(URL, fps=20), arrived=arrived, patience=QUICK, make_source=EachFails()) as camera:
        await holds(lambda: camera.num_abandoned == 1)
        assert await take(camera, arrived, 1)
    assert "MemoryError" in caplog.text


async def test_a_fault_of_the_watchman_does_not_end_the_watch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look_after, faults = CaptureThreads.look_after, iter([KeyError("one"), KeyError("one"), KeyError("one")])

    def fail_at_first(threads: CaptureThreads) -> None:
        for error in faults:
            raise error
        look_after(threads)

    monkeypatch.setattr(CaptureThreads, "look_after", fail_at_first)
    sources = FirstFallsSilent()
    try:
        async with Camera(settings(URL), arrived=asyncio.Event(), patience=QUICK, make_source=sources) as camera:
            await until(camera, "stale", within_seconds=5)
            assert next(faults, None) is None
    finally:
        sources.release.set()
    assert caplog.text.count("a fault in the program") == 3
    assert caplog.text.count("Traceback") == 1


async def test_after_a_good_while_a_hang_is_tried_again_soon(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamer")
    patience = Patience(stall=0.6, good=0.2, first_pause=0.2, longest_pause=60)
    wanted = settings(URL, isolation="thread")

    async with Camera(wanted, arrived=asyncio.Event(), patience=patience, make_source=EachHangsAfterAWhile()) as camera:
        await holds(lambda: camera.num_abandoned >= 5, within_seconds=15)

    pauses = [float(pause) for pause in re.findall(r"next try in (\S+) s", caplog.text)]
    assert len(pauses) >= 5
    assert max(pauses) <= 0.2


def capture_threads() -> int:
    return sum(thread.name == "capture-front" for thread in threading.enumerate())


async def test_turning_a_silent_camera_off_and_on_is_no_hang(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamer")
    server = SilentServer()
    url, patience = f"rtsp://127.0.0.1:{server.port}/live", Patience(open=2, read=2, first_pause=0.1, longest_pause=0.2)
    try:
        async with Camera(settings(url), arrived=asyncio.Event(), patience=patience) as camera:
            for _ in range(7):
                await asyncio.sleep(0.05)
                camera.disable()
                assert capture_threads() <= MAX_GIVEN_UP
                camera.enable()
            assert camera.num_abandoned == 0
            await until(camera, "offline", within_seconds=10)
            await holds(lambda: capture_threads() == 1)
    finally:
        server.close()
    assert "read in a process" not in caplog.text


async def test_threads_that_hang_once_their_camera_is_turned_off_count_as_hanging(data_folder: Path) -> None:
    release, arrived = threading.Event(), asyncio.Event()

    def make_source(*arguments: object, **keywords: object) -> object:
        release.wait(30)
        return open_source(*arguments, **keywords)  # type: ignore[arg-type]

    wanted = settings(data_folder / "vtest_h264.mp4", speed=10)
    try:
        async with Camera(wanted, arrived=arrived, patience=QUICK, make_source=make_source) as camera:
            for _ in range(MAX_GIVEN_UP + 1):
                camera.disable()
                camera.enable()
            assert capture_threads() == MAX_GIVEN_UP
            assert await take(camera, arrived, 1), "from a process"
            assert camera.num_abandoned == 0
    finally:
        release.set()


async def test_a_fault_that_comes_again_and_again_is_told_whole_only_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamer")
    hasty = Patience(first_pause=0.01, longest_pause=0.01)

    async with Camera(settings(URL), arrived=asyncio.Event(), patience=hasty, make_source=EachFails()) as camera:
        await holds(lambda: camera.num_reconnects >= 5)
        assert camera.state.last_error is not None
        assert "ZeroDivisionError, see the log" in str(camera.state.last_error)

    assert caplog.text.count("a fault in the program") >= 5
    assert caplog.text.count("Traceback") == 1
    assert re.search(r"a fault in the program: ZeroDivisionError at test_threads.py:\d+", caplog.text)
    assert "hunter2" not in caplog.text


async def test_a_finite_source_that_is_over_has_no_dead_thread(data_folder: Path) -> None:
    arrived = asyncio.Event()
    patience = Patience(stale=0.2)

    async with Camera(settings(data_folder / "tree.avi", fps=1), arrived=arrived, patience=patience) as camera:
        until_seconds = time.monotonic() + 10
        while not camera.ended.is_set() and time.monotonic() < until_seconds:
            camera.take_nowait()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert camera.state.status == "ended"
        assert camera.num_abandoned == 0
