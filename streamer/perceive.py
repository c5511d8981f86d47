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
            self._arrived.clear()
            while frames := self._take():
                await self._perceive(frames)

    def _take(self) -> dict[int, Frame]:
        frames = {}
        for index, camera in enumerate(self._cameras):
            if (camera.live or self._memory.has_room(index)) and (frame := camera.take_nowait()) is not None:
                frames[index] = frame
        return frames

    async def _perceive(self, frames: dict[int, Frame]) -> None:
        pixels = [frame.pixels for frame in frames.values()]
        tokens, pictures = await asyncio.gather(
            self._device.run(Priority.ENCODE, lambda: self._encoder.encode(pixels)),
            asyncio.to_thread(lambda: [encode_jpeg(picture) for picture in pixels]),
        )
        is_due = await self._device.run(Priority.ENCODE, lambda: self._push(frames, tokens, pictures))
        for index, frame in frames.items():
            self.num_encoded[index] += 1
            self.newest_seconds[index] = frame.time_seconds
            self.pushed[index].set()
        if is_due:
            self.due.set()

    def _push(self, frames: dict[int, Frame], tokens: Tensor, pictures: list[bytes]) -> bool:
        for row, (index, frame) in enumerate(frames.items()):
            self._memory.push(
                index,
                tokens[row],
                time_seconds=frame.time_seconds,
                picture=pictures[row],
                gap_start_seconds=frame.gap_start_seconds if frame.gap_before else None,
            )
        return any(self._memory.is_due(index) for index in frames)
