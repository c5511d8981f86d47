"""The slow clock: about once a second, what is due moves into long-term memory, and new slots get their notes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from torch import Tensor

from llm.base import LanguageModel, Steps
from llm.errors import LanguageModelError, NoNoteError
from llm.prompt import NOTE_REQUEST
from memory import Appended, Memory, Moment, is_unchanged, units_of
from streamer.archiving import Archiving
from streamer.capture import Camera
from streamer.device import DeviceThread, Priority
from streamer.steps import each_piece

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
MAX_NOTES_WAITING = 32
"""Slots that wait for a note; when one more comes, the oldest goes without."""
NOTE_TOKENS = 48
QUIET_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class _Noted:
    """The last slot of a camera that a note was written about, as units [N, W]."""

    units: Tensor
    line: str


class Remember:
    """Consolidation once a second, or at once when `due` says that a ring has a whole window.

    Afterwards `arrived` is set, since a paced camera may have waited for room. Notes are written when nothing else
    wants the device; a slot that shows nothing new has the note of the one before, and costs no model's words.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        *,
        arrived: asyncio.Event,
        due: asyncio.Event,
        device: DeviceThread,
        model: LanguageModel,
        memory: Memory,
        archiving: Archiving | None = None,
    ) -> None:
        self._cameras = cameras
        self._arrived = arrived
        self._due = due
        self._device = device
        self._model = model
        self._memory = memory
        self._archiving = archiving
        self._waiting: deque[tuple[int, int]] = deque(maxlen=MAX_NOTES_WAITING)
        self._has_waiting = asyncio.Event()
        self._noted: dict[int, _Noted] = {}
        self.num_notes = 0
        self.num_notes_repeated = 0
        self.num_notes_skipped = 0

    async def consolidate_for_ever(self) -> None:
        while True:
            await self._pause()
            self._due.clear()
            for camera, slot_ids in await self._consolidate():
                for slot_id in slot_ids:
                    self._wish_note(camera, slot_id)
            self._arrived.set()

    async def consolidate_rest(self) -> None:
        """At the end: what is still in the ring, so that it is kept on disk too."""
        if self._archiving is not None:
            await self._consolidate(flush=True)

    async def _consolidate(self, *, flush: bool = False) -> list[Appended]:
        now_seconds = [camera.now_seconds() for camera in self._cameras]

        def work() -> tuple[list[Appended], list[tuple[int, list[Moment]]]]:
            appended = self._memory.consolidate(now_seconds, flush=flush)
            return appended, [] if self._archiving is None else self._memory.moments(appended)

        appended, moments = await self._device.run(Priority.CONSOLIDATE, work)
        if self._archiving is not None:
            self._archiving.put(moments, now_seconds)
        return appended

    async def write_notes_for_ever(self) -> None:
        while True:
            await self._has_waiting.wait()
            camera, slot_id = self._waiting.popleft()
            if not self._waiting:
                self._has_waiting.clear()
            try:
                await self._write_note(camera, slot_id)
            except NoNoteError as reason:
                self.num_notes_skipped += 1
                log.debug("camera %s: %s", self._cameras[camera].name, reason)
            except (LanguageModelError, ValueError, TypeError, RuntimeError) as error:
                self.num_notes_skipped += 1
                log.warning("camera %s: no note could be written: %s", self._cameras[camera].name, error)

    async def _until_quiet(self) -> None:
        """While a paced camera keeps a frame waiting, the device is wanted: notes would halve its pace."""
        while any(not camera.live and camera.has_frame for camera in self._cameras):  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(QUIET_POLL_SECONDS)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(PERIOD_SECONDS):
                await self._due.wait()
        except TimeoutError:
            return

    def _wish_note(self, camera: int, slot_id: int) -> None:
        if len(self._waiting) == MAX_NOTES_WAITING:
            self.num_notes_skipped += 1
        self._waiting.append((camera, slot_id))
        self._has_waiting.set()

    async def _write_note(self, camera: int, slot_id: int) -> None:
        begun = await self._device.run(Priority.NOTE, lambda: self._begin_note(camera, slot_id))
        if begun is None:
            self.num_notes_skipped += 1
            return
        if isinstance(begun, str):
            self.num_notes_repeated += await self._set_note(camera, slot_id, begun)
            return
        steps, units = begun
        text = ""
        noted = each_piece(steps, device=self._device, priority=Priority.NOTE, before=self._until_quiet)
        async with aclosing(noted) as pieces:
            async for piece in pieces:
                text += piece.text
        line = " ".join(text.split())
        if line:
            self._noted[camera] = _Noted(units, line)
        self.num_notes += await self._set_note(camera, slot_id, line)

    async def _set_note(self, camera: int, slot_id: int, line: str) -> bool:
        """False where the slot was merged away meanwhile."""
        is_there = await self._device.run(Priority.NOTE, lambda: self._memory.set_note(camera, slot_id, line))
        if is_there and self._archiving is not None:
            self._archiving.put_note(camera, slot_id, line)
        return is_there

    def _begin_note(self, camera: int, slot_id: int) -> tuple[Steps, Tensor] | str | None:
        """On the device thread: steps of a note and the slot's units, or the note that it has already."""
        evidence = self._memory.recall_slot(camera, slot_id)
        if evidence is None:
            return None
        units, before = units_of(evidence.tokens[0]), self._noted.get(camera)
        if before is not None and is_unchanged(before.units, units):
            return before.line
        name = self._cameras[camera].name
        return self._model.answer(evidence, NOTE_REQUEST, camera=name, max_new_tokens=NOTE_TOKENS), units
