"""The fast clock: what is new is encoded, what is still lengthens memory, every camera gets its turn."""

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from encoders import VisionEncoder
from encoders.preprocess import Preprocessing
from llm.huggingface import HuggingFaceModel
from memory import Memory
from streamer.device import DeviceThread
from streamer.frame import NO_PIXELS, Frame
from streamer.handoff import Handoff
from streamer.perceive import Perceive
from streamer.turns import MAX_BATCH

START = 1_000_000.0


class Feed:
    """A camera's end of a real handoff; a thread of the test puts into it."""

    def __init__(self, name: str, arrived: asyncio.Event, *, live: bool) -> None:
        self.name, self.live = name, live
        self.handoff = Handoff(asyncio.get_running_loop(), arrived, blocking=not live)
        self.take_nowait = self.handoff.take_nowait
        self.quit = threading.Event()

    def put(
        self, index: int, *, still: bool = False, seconds: float | None = None, size: tuple[int, int] = (32, 24)
    ) -> None:
        width, height = size
        pixels = NO_PIXELS if still else np.full((height, width, 3), index % 256, np.uint8)
        time_seconds = START + index / 2 if seconds is None else seconds
        frame = Frame(pixels, time_seconds=time_seconds, pts_seconds=None, index=index, camera=self.name)
        self.handoff.put(frame, self.quit)


@dataclass
class Rig:
    feeds: list[Feed]
    perceive: Perceive
    memory: Memory
    batches: list[int]

    async def until_all_is_in_memory(self) -> None:
        async with asyncio.timeout(10):
            while not self._all_is_in_memory():  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.005)

    def _all_is_in_memory(self) -> bool:
        taken = [feed.handoff.num_taken for feed in self.feeds]
        return taken == self.perceive.num_remembered and not any(feed.handoff.is_full for feed in self.feeds)


BLINDING = 200
"""A picture of this colour breaks the tower."""


@asynccontextmanager
async def rig(*, live: Sequence[bool], encoder: VisionEncoder | None = None) -> AsyncIterator[Rig]:
    arrived, batches = asyncio.Event(), []
    feeds = [Feed(str(index), arrived, live=is_live) for index, is_live in enumerate(live)]

    def project(pictures: torch.Tensor) -> torch.Tensor:
        batches.append(len(pictures))
        if bool(((pictures.amin((1, 2, 3)) * 255).round() == BLINDING).any()):
            raise RuntimeError("too bright\nfor this tower")
        return torch.nn.functional.adaptive_avg_pool2d(pictures, 2).flatten(2).transpose(1, 2).contiguous()

    size = Preprocessing(height=16, width=16, mean=(0, 0, 0), std=(1, 1, 1))
    encoder = encoder or VisionEncoder(project, size, device=torch.device("cpu"), dtype=torch.float32)
    batches.clear()
    memory = Memory(len(feeds), num_tokens=encoder.num_tokens, width=encoder.width, max_slots=64)
    async with DeviceThread() as device, asyncio.TaskGroup() as group:
        perceive = Perceive(feeds, arrived=arrived, device=device, encoder=encoder, memory=memory)  # type: ignore[arg-type]
        task = group.create_task(perceive.run())
        yield Rig(feeds, perceive, memory, batches)
        for feed in feeds:
            feed.quit.set()
            feed.handoff.wake()
        task.cancel()


def weights(memory: Memory, camera: int) -> int:
    return sum(slot.weight for slot in memory.recall(camera, now_seconds=START + 1e6, max_slots=64).slots)


async def test_still_frames_are_remembered_without_being_encoded() -> None:
    async with rig(live=[True]) as it:
        for index in range(40):
            it.feeds[0].put(index, still=index % 10 != 0)
            await it.until_all_is_in_memory()

        evidence = it.memory.recall(0, now_seconds=START + 20, max_slots=64)
        assert [slot.weight for slot in evidence.slots] == [10, 10, 10, 10]
        assert [slot.end_seconds - START for slot in evidence.slots] == [4.5, 9.5, 14.5, 19.5]
        assert it.perceive.newest_seconds == [START + 19.5]
        assert (it.perceive.num_encoded, it.perceive.num_unchanged, it.perceive.num_remembered) == ([4], [36], [40])
        assert sum(it.batches) == 4


async def test_a_frame_that_was_lengthened_while_it_waited_keeps_its_weight() -> None:
    async with rig(live=[True]) as it:
        it.feeds[0].put(0)
        for index in range(1, 6):
            it.feeds[0].put(index, still=True)
        await it.until_all_is_in_memory()

        (slot,) = it.memory.recall(0, now_seconds=START + 3, max_slots=8).slots
        assert (slot.weight, slot.start_seconds, slot.end_seconds) == (6, START, START + 2.5)
        assert (it.perceive.num_encoded, it.perceive.num_unchanged) == ([1], [5])


async def test_a_paced_camera_loses_nothing_still_or_not() -> None:
    async with rig(live=[False]) as it:

        def put_all() -> None:
            for index in range(36):
                it.feeds[0].put(index, still=index % 4 in (1, 2))

        await asyncio.to_thread(put_all)
        await it.until_all_is_in_memory()

        assert (it.perceive.num_encoded, it.perceive.num_remembered) == ([18], [36])
        assert weights(it.memory, 0) == 36


async def test_many_busy_cameras_and_a_file_all_get_their_share() -> None:
    async with rig(live=[True] * 20 + [False]) as it:
        stop = threading.Event()

        def put_for_ever(feed: Feed) -> None:
            index = 0
            while not stop.is_set() and index < 30 + 100_000 * feed.live:
                feed.put(index)
                index += 1
                stop.wait(0.002)

        threads = [threading.Thread(target=put_for_ever, args=(feed,)) for feed in it.feeds]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(20):
            while it.perceive.num_encoded[-1] < 30:
                await asyncio.sleep(0.01)
                it.memory.consolidate([START + 1e9] * 21)
        stop.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await it.until_all_is_in_memory()

        shares = it.perceive.num_encoded[:-1]
        assert min(shares) >= 0.8 * max(shares) - 2
        assert max(it.batches) == MAX_BATCH
        assert [feed.handoff.num_taken for feed in it.feeds] == it.perceive.num_remembered
        assert it.feeds[-1].handoff.num_dropped == 0


async def test_one_camera_s_fault_is_counted_and_touches_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with rig(live=[True, True]) as it:
        for index, seconds in enumerate([START, START - 50, START + 1]):
            it.feeds[0].put(index, seconds=seconds)
            it.feeds[1].put(index)
            with caplog.at_level(logging.CRITICAL):
                await it.until_all_is_in_memory()

        assert it.perceive.num_refused == [1, 0]
        assert (weights(it.memory, 0), weights(it.memory, 1)) == (2, 3)


async def test_a_picture_that_cannot_be_encoded_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with rig(live=[True, True]) as it:
        for index in (0, BLINDING, 2, 3):
            seconds = START + (index if index < BLINDING else 1)
            it.feeds[0].put(index, seconds=seconds)
            it.feeds[1].put(index % BLINDING, seconds=seconds)
            await it.until_all_is_in_memory()

        assert max(it.batches) == 2, "good and bad came in one batch"
        assert (it.perceive.num_refused, it.perceive.num_encoded) == ([1, 0], [3, 4])
        assert (weights(it.memory, 0), weights(it.memory, 1)) == (3, 4)
        evidence = it.memory.recall(0, now_seconds=START + 4, max_slots=8)
        assert [(gap.start_seconds - START, gap.end_seconds - START) for gap in evidence.gaps] == [(0, 2)]
        assert caplog.messages == [
            "camera 0: a picture of 32x24 cannot be encoded (RuntimeError: too bright); "
            "it is left out, and so is each later one that cannot be"
        ]


async def test_what_shows_the_same_as_a_refused_picture_is_refused_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with rig(live=[False]) as it:

        def put_all() -> None:
            it.feeds[0].put(0)
            for index in range(1, 7):
                still = index in (2, 5)
                it.feeds[0].put(BLINDING, still=still, seconds=START + index)
            it.feeds[0].put(7, seconds=START + 7)

        await asyncio.to_thread(put_all)
        await it.until_all_is_in_memory()

        assert (it.perceive.num_refused, it.perceive.num_encoded, it.perceive.num_unchanged) == ([6], [2], [0])
        assert it.perceive.newest_seconds == [START + 7]
        assert [slot.weight for slot in it.memory.recall(0, now_seconds=START + 8, max_slots=8).slots] == [1, 1]
        assert len(caplog.messages) == 1


async def test_an_encoder_that_fails_whatever_it_is_given_is_no_camera_s_fault() -> None:
    fails = False

    def project(pictures: torch.Tensor) -> torch.Tensor:
        if fails:
            raise RuntimeError("the device is lost")
        return torch.zeros(len(pictures), 4, 3)

    size = Preprocessing(height=16, width=16, mean=(0, 0, 0), std=(1, 1, 1))
    encoder = VisionEncoder(project, size, device=torch.device("cpu"), dtype=torch.float32)
    fails = True
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="the device is lost")):
        async with rig(live=[True], encoder=encoder) as it:
            it.feeds[0].put(0)
            await it.until_all_is_in_memory()


async def test_pictures_of_every_size_go_through_the_bundled_model(bundled: HuggingFaceModel) -> None:
    sizes = [(1, 1), (2, 1), (640, 2), (3, 4000), (16384, 1), (1, 16384), (640, 8192), (16384, 256)]
    async with rig(live=[True] * len(sizes), encoder=bundled.encoder) as it:
        for feed, size in zip(it.feeds, sizes, strict=True):
            feed.put(0, size=size)
        await it.until_all_is_in_memory()

        assert it.perceive.num_encoded == [1] * len(sizes)
        assert it.perceive.num_refused == [0] * len(sizes)
        for camera in range(len(sizes)):
            evidence = it.memory.recall(camera, now_seconds=START + 1, max_slots=8)
            assert evidence.slots[0].weight == 1
            assert torch.isfinite(evidence.tokens).all()


async def test_pixels_are_let_go_once_they_are_encoded() -> None:
    async with rig(live=[True]) as it:
        pixels = np.zeros((24, 32, 3), np.uint8)
        gone = weakref.ref(pixels)
        it.feeds[0].handoff.put(Frame(pixels, START, None, 0, "0"), it.feeds[0].quit)
        del pixels
        await it.until_all_is_in_memory()
        await asyncio.sleep(0.01)
        gc.collect()

        assert gone() is None
