"""The fast clock: each sampled frame is encoded and pushed into the ring; it waits for nothing slow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from encoders import VisionEncoder
from memory import Memory
from streamer.capture import Camera
from streamer.device import DeviceThread, Priority
from streamer.encoding import Encoded, Encoding
from streamer.frame import Frame
from streamer.turns import MAX_BATCH, Taken, Turns

__all__ = ["MAX_BATCH", "Perceive"]

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

GATHER_SECONDS = 0.004
"""How long a batch waits for one more frame of a paced camera: less than encoding it alone would take."""


class Perceive:
    """One encoder batch over all cameras that have a frame, again and again; a still frame is not encoded.

    `pushed[camera]` is set after each push of that camera's frames; `newest_seconds[camera]` is the last picture's
    time; `due` is set when a ring has a window to consolidate.

    Counted per camera: `num_encoded` (frames that went through the encoder), `num_unchanged` (pictures that only
    lengthened what memory has), `num_refused` (pictures that could not be encoded or show the same as one that
    could not, and frames that memory did not take, which is a fault), `num_remembered` (pictures that are done with;
    in the end as many as were taken).
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
        self._encoding = Encoding(device=device, encoder=encoder)
        self._memory = memory
        self._is_blind = [False] * len(cameras)
        self._seen_until_seconds: list[float | None] = [None] * len(cameras)
        self._turns = Turns(cameras, room=memory.room)
        self.pushed = [asyncio.Event() for _ in cameras]
        self.due = asyncio.Event()
        self.num_encoded = [0] * len(cameras)
        self.num_unchanged = [0] * len(cameras)
        self.num_remembered = [0] * len(cameras)
        self.num_refused = [0] * len(cameras)
        self.newest_seconds: list[float | None] = [None] * len(cameras)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._arrived.wait()
            while await self._perceive(await self._take_batch()):
                pass

    async def _take_batch(self) -> list[Taken]:
        """Of each camera its frame; of a paced one what comes within a moment, up to `MAX_BATCH` in all."""
        frames: list[Taken] = []
        while len(frames) < MAX_BATCH:
            self._arrived.clear()
            taken = self._turns.take(frames)
            frames += taken
            if not any(not self._cameras[index].live for index, _ in taken):
                break
            try:
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._arrived.wait()
            except TimeoutError:
                break
        return frames

    async def _perceive(self, frames: list[Taken]) -> bool:
        """False where there was nothing. Empties `frames`, so that no pixels are held longer than needed."""
        if not frames:
            return False
        pixels = [frame.pixels for _, frame in frames if not frame.is_still]
        entries = [_Entry.of(index, frame) for index, frame in frames]
        frames.clear()
        seen = self._seen(entries, await self._encode(pixels, entries))
        if await self._device.run(Priority.ENCODE, lambda: self._remember(seen)):
            self.due.set()
        for entry in entries:
            self.num_remembered[entry.camera] += entry.num_pictures
        for entry, _ in seen:
            index = entry.camera
            self.num_encoded[index] += entry.has_pixels
            self.num_unchanged[index] += entry.num_pictures - entry.has_pixels
            self.newest_seconds[index] = entry.end_seconds
            self.pushed[index].set()
        return True

    async def _encode(self, pixels: list[Pixels], entries: list[_Entry]) -> list[Encoded | None]:
        """Of each entry that has pixels. Empties `pixels`."""
        cameras = [self._cameras[entry.camera].name for entry in entries if entry.has_pixels]
        return await self._encoding.run(pixels, cameras) if pixels else []

    def _seen(self, entries: list[_Entry], encoded: list[Encoded | None]) -> list[_Seen]:
        """Leaves out what could not be encoded, and still frames after it: they show the same. Then comes a gap."""
        each, seen = iter(encoded), list[_Seen]()
        for entry in entries:
            index, was_blind = entry.camera, self._is_blind[entry.camera]
            of_it = next(each) if entry.has_pixels else None
            self._is_blind[index] = is_blind = of_it is None if entry.has_pixels else was_blind
            if is_blind:
                self.num_refused[index] += entry.num_pictures
                continue
            if was_blind and self._seen_until_seconds[index] is not None:
                entry = replace(entry, gap_start_seconds=self._seen_until_seconds[index])
            self._seen_until_seconds[index] = entry.end_seconds
            seen.append((entry, of_it))
        return seen

    def _remember(self, seen: list[_Seen]) -> bool:
        """On the device thread: all into memory, in order; one camera's fault stays its own. True: a ring is due."""
        for entry, encoded in seen:
            try:
                self._remember_one(entry, encoded)
            except ValueError:
                self.num_refused[entry.camera] += 1
                log.exception("camera %s: memory refused a frame", self._cameras[entry.camera].name)
        return any(self._memory.is_due(entry.camera) for entry, _ in seen)

    def _remember_one(self, entry: _Entry, encoded: Encoded | None) -> None:
        start_seconds, num_unchanged = entry.time_seconds, entry.num_pictures
        if encoded is not None:
            self._memory.push(
                entry.camera,
                encoded.tokens,
                time_seconds=entry.time_seconds,
                picture=encoded.picture,
                gap_start_seconds=entry.gap_start_seconds,
            )
            num_unchanged -= 1
        if num_unchanged:
            self._memory.extend(
                entry.camera, start_seconds=start_seconds, end_seconds=entry.end_seconds, num_frames=num_unchanged
            )


@dataclass(frozen=True, slots=True)
class _Entry:
    """What memory is told of a frame, beside its tokens."""

    camera: int
    time_seconds: float
    end_seconds: float
    gap_start_seconds: float | None
    num_pictures: int
    has_pixels: bool

    @classmethod
    def of(cls, camera: int, frame: Frame) -> _Entry:
        return cls(
            camera,
            frame.time_seconds,
            frame.end_seconds,
            frame.gap_start_seconds if frame.gap_before else None,
            frame.num_pictures,
            not frame.is_still,
        )


_Seen = tuple[_Entry, Encoded | None]
