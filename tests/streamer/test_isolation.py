"""A camera that is read in a process: the same frames, and a process that hangs, dies or is orphaned leaves nothing."""

import asyncio
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from streamer.capture import Camera
from streamer.children import Children
from streamer.frame import Frame
from streamer.isolation import ProcessReading
from streamer.messages import MessageError, frame_of_message, message_of_frame, pack, unpack
from streamer.patience import Patience
from streamer.reading import make_looker
from streamer.source import SourceCounts
from tests.rig.clips import number_in
from tests.streamer.watching import FPS, Servers, counting_clip, frames, settings, take, until

REPO = Path(__file__).parents[2]
QUICK = Patience(open=2, read=2, child_silence=2.0, first_pause=0.1, longest_pause=0.2)


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "streamer.isolated" in " ".join(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_a_file_is_the_same_in_a_process(data_folder: Path) -> None:
    taken: dict[str, list[Frame]] = {}
    for isolation in ("thread", "process"):
        arrived = asyncio.Event()
        clip = settings(data_folder / "tree.avi", start=1_700_000_000.0, isolation=isolation, fps=5)
        async with Camera(clip, arrived=arrived) as camera:
            taken[isolation] = [frame async for frame in frames(camera, arrived)]
            assert (camera.state.status, camera.num_seen) == ("ended", 68)
            assert camera.num_sampled == len(taken[isolation])
            assert camera.live is False

    pairs = list(zip(taken["thread"], taken["process"], strict=True))
    assert len(pairs) > 50
    for one, other in pairs:
        assert (one.time_seconds, one.pts_seconds, one.index) == (other.time_seconds, other.pts_seconds, other.index)
        assert np.array_equal(one.pixels, other.pixels)
    assert not children()


@pytest.mark.rtsp
async def test_still_pictures_come_out_of_a_process_too(serve: Servers, tmp_path: Path) -> None:
    still = counting_clip(tmp_path, name="still.mp4", num_frames=100, numbers=[7] * 100)
    server, arrived = serve({"live": still}), asyncio.Event()
    wanted = settings(server.url(), isolation="process", fps=FPS, skip_still=True)

    async with Camera(wanted, arrived=arrived, patience=QUICK) as camera:
        taken = await take(camera, arrived, 8)

    assert taken[0].pixels.shape == (240, 320, 3)
    assert all(frame.is_still for frame in taken[2:])
    pictures = sum(frame.num_pictures for frame in taken)
    assert taken[-1].end_seconds - taken[0].time_seconds == pytest.approx((pictures - 1) / FPS, abs=0.25)


def test_frames_that_are_not_newer_than_the_last_are_dropped_and_counted(data_folder: Path) -> None:
    clip = settings(data_folder / "tree.avi", start=1000.0, isolation="process", fps=5)

    def read(last_seconds: float | None) -> tuple[list[float], int]:
        patience, counts = Patience(), SourceCounts(num_late=3)
        reading = ProcessReading(
            clip,
            looker=make_looker(clip, counts=counts, patience=patience),
            counts=counts,
            patience=patience,
            quit=threading.Event(),
            last_seconds=last_seconds,
            children=Children(),
        )
        with reading:
            return [frame.time_seconds for frame in reading if frame is not None], counts.num_late

    every, num_late = read(None)
    assert num_late == 3
    newer = [seconds for seconds in every if seconds > 1003.0]
    assert 0 < len(newer) < len(every)
    assert read(1003.0) == (newer, 3 + len(every) - len(newer))


@pytest.mark.rtsp
async def test_a_process_that_hangs_is_killed_and_replaced(serve: Servers, clip: Path) -> None:
    server, arrived = serve({"live": clip}), asyncio.Event()

    async with Camera(settings(server.url(), fps=FPS, isolation="process"), arrived=arrived, patience=QUICK) as camera:
        before = await take(camera, arrived, 3)
        (child,) = children()
        os.kill(child.pid, signal.SIGSTOP)
        await until(camera, "offline", within_seconds=5)
        assert camera.state.error is not None
        assert camera.state.error.code == "timeout"
        assert "hung for 2 s and was ended" in str(camera.state.error)
        camera.take_nowait()
        after = await take(camera, arrived, 3)

        assert camera.num_abandoned == 1
        assert not child.is_running()
        assert len(children()) == 1

    assert [frame.gap_before for frame in after] == [True, False, False]
    assert after[0].gap_start_seconds is not None
    times = [frame.time_seconds for frame in before + after]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    indices = [frame.index for frame in before + after]
    assert all(earlier < later for earlier, later in itertools.pairwise(indices))
    assert number_in(after[-1].pixels) is not None
    assert not children()


@pytest.mark.rtsp
async def test_a_process_that_is_killed_is_replaced(serve: Servers, clip: Path) -> None:
    server, arrived = serve({"live": clip}), asyncio.Event()

    async with Camera(settings(server.url(), isolation="process"), arrived=arrived, patience=QUICK) as camera:
        await take(camera, arrived, 1)
        children()[0].kill()
        await until(camera, "offline", within_seconds=5)
        assert camera.state.error is not None
        assert camera.state.error.code == "lost"
        assert "ended unexpectedly" in str(camera.state.error)
        await take(camera, arrived, 2)
        assert camera.num_abandoned == 0
    assert not children()


async def test_an_error_in_a_process_is_the_cameras_error() -> None:
    missing = settings("none.mp4", isolation="process")

    async with Camera(missing, arrived=asyncio.Event(), patience=QUICK) as camera:
        await until(camera, "offline")
        assert camera.state.error is not None
        assert camera.state.error.code == "not_found"
        assert str(camera.state.error) == "none.mp4 does not exist; check the path"


@pytest.mark.rtsp
async def test_the_password_is_in_no_argument_and_no_environment(serve: Servers, clip: Path) -> None:
    server, arrived = serve({"live": clip}, auth=("digest", "me", "hunter2")), asyncio.Event()
    url = server.url(user_info="me:hunter2")

    async with Camera(settings(url, isolation="process"), arrived=arrived, patience=QUICK) as camera:
        await take(camera, arrived, 1)
        (child,) = children()
        assert "hunter2" not in " ".join(child.cmdline())
        assert "hunter2" not in json.dumps(child.environ())


_PARENT = """
import asyncio, sys
from streamer.capture import Camera
from tests.streamer.watching import settings, take

async def main():
    arrived = asyncio.Event()
    async with Camera(settings("demo://yard", isolation="process"), arrived=arrived) as camera:
        await take(camera, arrived, 1)
        print("seen", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_process_does_not_outlive_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], cwd=REPO, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "seen\n"
        (child,) = psutil.Process(parent.pid).children()
    finally:
        parent.kill()
        parent.communicate(timeout=10)
    gone, _ = psutil.wait_procs([child], timeout=5)
    assert gone == [child]


async def test_a_slow_consumer_of_a_process_gets_the_newest() -> None:
    arrived = asyncio.Event()
    yard = settings("demo://yard", isolation="process", fps=10)

    async with Camera(yard, arrived=arrived) as camera:
        await take(camera, arrived, 1)
        await asyncio.sleep(2)
        (frame,) = await take(camera, arrived, 1)
        assert time.time() - frame.time_seconds < 0.5
        assert camera.num_dropped >= 10


def test_a_frame_survives_the_pipe() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (31, 63, 3), dtype=np.uint8)
    sent = Frame(pixels, 1_700_000_000.123456, 1.5, 7, "front", True, 1_699_999_999.0, 2, 1_700_000_001.0)

    got = frame_of_message(*unpack(io.BytesIO(message_of_frame(sent)).read))

    assert np.array_equal(got.pixels, sent.pixels)
    for name in ("time_seconds", "pts_seconds", "index", "camera", "gap_before", "gap_start_seconds"):
        assert getattr(got, name) == getattr(sent, name)
    assert (got.num_unchanged, got.unchanged_until_seconds) == (2, 1_700_000_001.0)


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 8, pack({})[:8] + b"{[", pack([])],  # type: ignore[arg-type]
    ids=["too long", "not JSON", "no mapping"],
)
def test_nonsense_on_the_pipe_fails(data: bytes) -> None:
    with pytest.raises(MessageError):
        unpack(io.BytesIO(data).read)


@pytest.mark.parametrize("shape", [[1, 1], [3, 3, 3], "x"])
def test_a_message_with_other_pixels_than_it_says_fails(shape: object) -> None:
    with pytest.raises(MessageError):
        frame_of_message({"shape": shape, "values": {}}, b"\0" * 12)
