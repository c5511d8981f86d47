"""What is consolidated goes to disk, in a thread of its own: neither cameras nor answers ever wait for it.

A disk that is full, read-only or gone is told once and tried again; what waits meanwhile is bounded.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from memory import Archive, ArchiveError, DamagedArchiveError, EncoderKind, KeptMoment, Memory, Moment, Retention
from memory.archive_file import set_aside
from streamer.settings import ArchiveSettings, CameraSettings

log = logging.getLogger(__name__)

MAX_WAITING = 256
"""Consolidations, and notes, that wait for the disk; when one more comes, the oldest is lost and counted."""
MAX_KNOWN = 512
"""Slots of which it is known in which row they are, to write their notes into."""
RETRY_SECONDS = 5.0
LEAVE_SECONDS = 5.0
"""How long leaving waits for what is still to be written."""
MOST_RESTORED, MOST_RESTORED_BYTES = 20_000, 256 * 1024 * 1024
"""Of one camera, at the start: the newest moments, and their tokens."""
_GIGABYTE = 1_000_000_000
_DAY_SECONDS = 86_400.0


@dataclass(eq=False)
class _Waiting:
    camera: int
    moments: list[Moment]
    now_seconds: float
    is_written: bool = False
    """Set by the archive's thread: who waited for it may have been cancelled."""


class Archiving:
    """`async with Archiving(settings, cameras, encoder) as archiving:` opens the archive; leaving writes the rest.

    Counted: `num_written` moments, `num_lost` that could not wait any longer for a disk that took nothing.
    """

    def __init__(
        self,
        settings: ArchiveSettings,
        cameras: Sequence[CameraSettings],
        encoder: EncoderKind,
        *,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._retry_seconds = retry_seconds
        self._folder = Path(settings.path).expanduser()
        each = settings.keep_gigabytes_per_camera
        self._retention = Retention(
            settings.keep_days * _DAY_SECONDS,
            int(settings.keep_gigabytes * _GIGABYTE),
            None if each is None else int(each * _GIGABYTE),
            {camera.name: camera.keep_days * _DAY_SECONDS for camera in cameras if camera.keep_days is not None},
        )
        self._cameras = [camera.name for camera in cameras]
        self._kinds = {camera.name: camera.kind for camera in cameras}
        self._encoder = encoder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._archive: Archive | None = None
        self._waiting: deque[_Waiting] = deque()
        self._notes: deque[tuple[int, int, str]] = deque(maxlen=MAX_WAITING)
        self._rows: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._has_waiting = asyncio.Event()
        self._told = ""
        self.num_written = 0
        self.num_lost = 0

    async def __aenter__(self) -> Self:
        await self._try(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._write_all()
        if self._waiting:
            self.num_lost += sum(len(each.moments) for each in self._waiting)
            log.warning("archive: %d moments were not written before the end", self.num_lost)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def put(self, found: Sequence[tuple[int, list[Moment]]], now_seconds: Sequence[float]) -> None:
        """Of cameras what was appended to long-term memory; `now_seconds` has each camera's time."""
        for camera, moments in found:
            if len(self._waiting) == MAX_WAITING:
                self.num_lost += len(self._waiting.popleft().moments)
            self._waiting.append(_Waiting(camera, moments, now_seconds[camera]))
        if found:
            self._has_waiting.set()

    def put_note(self, camera: int, slot_id: int, note: str) -> None:
        """The note of a slot that was put before."""
        self._notes.append((camera, slot_id, note))
        self._has_waiting.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._has_waiting.wait()
            self._has_waiting.clear()
            if not await self._write_all():
                await asyncio.sleep(self._retry_seconds)
                self._has_waiting.set()

    def restore(self, memory: Memory, camera: int, *, now_seconds: float) -> int:
        """On the device thread, before the camera's first frame; returns how many moments came back."""
        if self._archive is None:
            return 0
        archive, name = self._archive, self._cameras[camera]
        num_read = 0
        each_bytes = self._encoder.num_tokens * (self._encoder.width + 4)
        most = min(MOST_RESTORED, MOST_RESTORED_BYTES // each_bytes)

        def counted() -> Iterator[KeptMoment]:
            nonlocal num_read
            for moment in archive.newest(name, most=most, until_seconds=now_seconds):
                if moment.end_seconds <= now_seconds:  # else the clock was set back
                    num_read += moment.tokens is not None
                    yield moment

        try:
            for slot_id, moment_id in memory.restore(camera, counted()).items():
                memory.set_picture(camera, slot_id, archive.picture(moment_id))
        except ArchiveError as error:
            self._tell(error)
        if num_read:
            log.info("camera %s: memory goes on from the archive, moments: %d", name, num_read)
        return num_read

    async def _write_all(self) -> bool:
        """Moments first, then notes, the oldest first; False where something still waits."""
        while self._waiting or self._notes:
            queue: deque[Any] = self._waiting or self._notes
            oldest = queue[0]
            write = self._write_moments if queue is self._waiting else self._write_note
            if not await self._try(partial(self._written, partial(write, oldest))):
                return False
            if queue and queue[0] is oldest:  # else it was lost meanwhile
                queue.popleft()
        return True

    async def _try(self, work: Callable[[], None]) -> bool:
        """In the archive's thread. What fails is told once, until it succeeds again."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except ArchiveError as error:
            self._tell(error)
            return False
        if self._told:
            log.info("archive: %s is written again", self._folder)
            self._told = ""
        return True

    def _tell(self, error: ArchiveError) -> None:
        if str(error) != self._told:
            self._told = str(error)
            log.warning("%s; until then nothing is kept beyond memory", error)

    def _open(self) -> None:
        if self._archive is None:
            try:
                self._archive = self._new()
            except DamagedArchiveError as error:
                self._begin_anew(error)

    def _begin_anew(self, error: DamagedArchiveError) -> None:
        self._close()
        log.warning("%s; it is %s now, and a new one is begun", error, set_aside(self._folder))
        self._archive = self._new()

    def _new(self) -> Archive:
        return Archive(self._folder, encoder=self._encoder, retention=self._retention, kinds=self._kinds)

    def _written(self, write: Callable[[Archive], None]) -> None:
        """After a fault the file is opened anew at the next try; a damaged one is set aside at once."""
        self._open()
        try:
            try:
                write(self._opened)
            except DamagedArchiveError as error:
                self._begin_anew(error)
                write(self._opened)
        except ArchiveError:
            self._close()
            raise

    @property
    def _opened(self) -> Archive:
        assert self._archive is not None
        return self._archive

    def _write_moments(self, waiting: _Waiting, archive: Archive) -> None:
        if waiting.is_written:
            return
        ids = archive.add(self._cameras[waiting.camera], waiting.moments, now_seconds=waiting.now_seconds)
        waiting.is_written = True
        self.num_written += len(ids)
        for moment, moment_id in zip(waiting.moments, ids, strict=True):
            self._rows[waiting.camera, moment.slot_id] = moment_id
        while len(self._rows) > MAX_KNOWN:
            self._rows.popitem(last=False)

    def _write_note(self, noted: tuple[int, int, str], archive: Archive) -> None:
        camera, slot_id, note = noted
        if (camera, slot_id) in self._rows:
            archive.set_note(self._rows[camera, slot_id], note)

    def _close(self) -> None:
        if self._archive is not None:
            self._archive.close()
        self._archive = None
        self._rows.clear()
