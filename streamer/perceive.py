"""The fast clock: each sampled frame is encoded and pushed into the ring; it waits for nothing slow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from torch import Tensor

from encoders import VisionEncoder
from memory import Memory
from streamer.capture import Camera
from streamer.device import DeviceThread, Priority
from streamer.frame import Frame
from streamer.picture import encode_jpeg

MAX_BATCH = 16
GATHER_SECONDS = 0.004
"""How long a batch waits for one more frame of a paced camera: less than encoding it alone would take."""


class Perceive:
    """One encoder batch over all cameras that have a frame, again and again.

    `pushed[camera]` is set after each push of that camera's frames; `newest_seconds[camera]` is the last one's time;
    `due` is set when a ring has a window to consolidate.
    A live camera's frame is always taken. A paced camera's frame stays in its handoff, and so holds the camera back,
    while its ring has no room; who makes room sets `arrived`.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        *,
        arrived: asyncio.Event,
        device: DeviceThread,
        encoder: VisionEncoder,
        memory: Memory,
    ) -> None:
        self._cameras = cameras
        self._arrived = arrived
        self._device = device
        self._encoder = encoder
        self._memory = memory
        self.pushed = [asyncio.Event() for _ in cameras]
        self.due = asyncio.Event()
        self.num_encoded = [0] * len(cameras)
        self.newest_seconds: list[float | None] = [None] * len(cameras)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._arrived.wait()
            while frames := await self._take_batch():
                await self._perceive(frames)

    async def _take_batch(self) -> list[tuple[int, Frame]]:
        """Of a live camera its newest frame; of a paced one what comes within a moment, up to `MAX_BATCH` in all."""
        frames: list[tuple[int, Frame]] = []
        while len(frames) < MAX_BATCH:
            self._arrived.clear()
            taken = self._take(frames)
            frames += taken
            if not any(not self._cameras[index].live for index, _ in taken):
                break
            try:
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._arrived.wait()
            except TimeoutError:
                break
        return frames

    def _take(self, pending: list[tuple[int, Frame]]) -> list[tuple[int, Frame]]:
        taken = []
        for index, camera in enumerate(self._cameras):
            num_pending = sum(1 for other, _ in pending if other == index)
            has_room = self._memory.room(index) > num_pending if not camera.live else not num_pending
            if has_room and (frame := camera.take_nowait()) is not None:
                taken.append((index, frame))
        return taken

    async def _perceive(self, frames: list[tuple[int, Frame]]) -> None:
        pixels = [frame.pixels for _, frame in frames]
        tokens, pictures = await asyncio.gather(
            self._device.run(Priority.ENCODE, lambda: self._encoder.encode(pixels)),
            asyncio.to_thread(lambda: [encode_jpeg(picture) for picture in pixels]),
        )
        is_due = await self._device.run(Priority.ENCODE, lambda: self._push(frames, tokens, pictures))
        for index, frame in frames:
            self.num_encoded[index] += 1
            self.newest_seconds[index] = frame.time_seconds
            self.pushed[index].set()
        if is_due:
            self.due.set()

    def _push(self, frames: list[tuple[int, Frame]], tokens: Tensor, pictures: list[bytes]) -> bool:
        for row, (index, frame) in enumerate(frames):
            self._memory.push(
                index,
                tokens[row],
                time_seconds=frame.time_seconds,
                picture=pictures[row],
                gap_start_seconds=frame.gap_start_seconds if frame.gap_before else None,
            )
        return any(self._memory.is_due(index) for index, _ in frames)
