"""One slot: live, the newest wins; paced, nothing is lost; nobody waits for ever."""

import asyncio
import threading
import time

import numpy as np
import pytest

from streamer.frame import NO_PIXELS, Frame
from streamer.handoff import Handoff


def frame(index: int, *, gap_start_seconds: float | None = None) -> Frame:
    return Frame(
        np.zeros((2, 2, 3), np.uint8),
        time_seconds=100.0 + index,
        pts_seconds=None,
        index=index,
        camera="front",
        gap_before=gap_start_seconds is not None,
        gap_start_seconds=gap_start_seconds,
    )


def still(index: int) -> Frame:
    return Frame(NO_PIXELS, time_seconds=100.0 + index, pts_seconds=None, index=index, camera="front")


async def test_a_live_camera_keeps_the_newest_and_counts_the_drops() -> None:
    arrived, quit = asyncio.Event(), threading.Event()
    handoff = Handoff(asyncio.get_running_loop(), arrived, blocking=False)

    for index in range(3):
        assert handoff.put(frame(index), quit)
    await asyncio.wait_for(arrived.wait(), 1)

    taken = handoff.take_nowait()
    assert taken is not None
    assert taken.index == 2
    assert handoff.take_nowait() is None
    assert (handoff.num_dropped, handoff.num_taken) == (2, 1)
    assert handoff.first_taken_seconds == handoff.newest_taken_seconds == 102.0


async def test_a_dropped_frame_passes_its_gap_on() -> None:
    quit = threading.Event()
    handoff = Handoff(asyncio.get_running_loop(), asyncio.Event(), blocking=False)

    handoff.put(frame(1, gap_start_seconds=50.0), quit)
    handoff.put(frame(2), quit)

    taken = handoff.take_nowait()
    assert taken is not None
    assert (taken.index, taken.gap_before, taken.gap_start_seconds) == (2, True, 50.0)


@pytest.mark.parametrize("blocking", [False, True])
async def test_still_frames_lengthen_what_waits_and_wait_for_nobody(blocking: bool) -> None:
    quit = threading.Event()
    handoff = Handoff(asyncio.get_running_loop(), asyncio.Event(), blocking=blocking)

    for one in (frame(0, gap_start_seconds=50.0), still(1), still(2)):
        assert handoff.put(one, quit)
    longer = handoff.take_nowait()
    for one in (still(3), still(4)):
        assert handoff.put(one, quit)
    stills = handoff.take_nowait()

    assert longer is not None
    assert stills is not None
    assert (longer.index, longer.num_pictures, longer.end_seconds, longer.gap_start_seconds) == (0, 3, 102.0, 50.0)
    assert (stills.is_still, stills.num_pictures, stills.time_seconds, stills.end_seconds) == (True, 2, 103.0, 104.0)
    assert (handoff.num_taken, handoff.num_dropped, handoff.newest_taken_seconds) == (5, 0, 104.0)


async def test_a_live_camera_replaces_still_frames_by_a_new_one_and_counts_them() -> None:
    quit = threading.Event()
    handoff = Handoff(asyncio.get_running_loop(), asyncio.Event(), blocking=False)

    for one in (still(1), still(2), frame(3)):
        handoff.put(one, quit)

    taken = handoff.take_nowait()
    assert taken is not None
    assert (taken.index, taken.num_pictures) == (3, 1)
    assert (handoff.num_dropped, handoff.num_taken) == (2, 1)


async def test_a_paced_camera_loses_no_still_frame_before_a_new_one() -> None:
    arrived, quit = asyncio.Event(), threading.Event()
    handoff = Handoff(asyncio.get_running_loop(), arrived, blocking=True)
    row = [frame(index) if index % 5 == 0 else still(index) for index in range(50)]
    thread = threading.Thread(target=lambda: [handoff.put(one, quit) for one in row])
    thread.start()

    taken: list[Frame] = []
    while sum(one.num_pictures for one in taken) < 50:
        await asyncio.wait_for(arrived.wait(), 2)
        arrived.clear()
        while (one := handoff.take_nowait()) is not None:
            taken.append(one)

    await asyncio.to_thread(thread.join, 2)
    assert [one.index for one in taken if not one.is_still] == list(range(0, 50, 5))
    assert handoff.num_dropped == 0


async def test_a_paced_camera_waits_until_its_frame_is_taken() -> None:
    arrived, quit = asyncio.Event(), threading.Event()
    handoff = Handoff(asyncio.get_running_loop(), arrived, blocking=True)
    thread = threading.Thread(target=lambda: [handoff.put(frame(index), quit) for index in range(20)])
    thread.start()

    indices = []
    while len(indices) < 20:
        await asyncio.wait_for(arrived.wait(), 2)
        arrived.clear()
        while (taken := handoff.take_nowait()) is not None:
            indices.append(taken.index)

    await asyncio.to_thread(thread.join, 2)
    assert indices == list(range(20))
    assert handoff.num_dropped == 0


async def test_quit_ends_the_wait() -> None:
    quit = threading.Event()
    handoff = Handoff(asyncio.get_running_loop(), asyncio.Event(), blocking=True)
    handoff.put(frame(0), quit)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(handoff.put(frame(1), quit)))
    thread.start()

    started = time.monotonic()
    quit.set()
    handoff.wake()
    await asyncio.to_thread(thread.join, 2)

    assert results == [False]
    assert time.monotonic() - started < 1


def test_a_closed_loop_needs_no_telling() -> None:
    loop = asyncio.new_event_loop()
    handoff = Handoff(loop, asyncio.Event(), blocking=False)
    loop.close()

    assert handoff.put(frame(0), threading.Event())
