"""Reading: one connection to a camera as a row of frames, in this thread; knows no state and no reconnecting."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from streamer.frame import Frame
from streamer.look import Looker
from streamer.patience import Patience
from streamer.sampling import Sampler
from streamer.settings import CameraSettings
from streamer.source import Source, SourceCounts

__all__ = ["Reading", "ThreadReading", "make_looker"]


class Reading(AbstractContextManager["Reading"], Protocol):
    """An open connection. Iterating gives an item per picture seen, or for a few: the frame of it, or None.

    Raises, while it is entered or iterated: CameraError.
    """

    @property
    def live(self) -> bool:
        """True on the wall clock; what the camera says of itself once it is entered."""

    def __enter__(self) -> Self: ...

    def __iter__(self) -> Iterator[Frame | None]: ...

    def hanging_seconds(self) -> float | None:
        """From any thread: for how long FFmpeg has not come back, where that is too long; else None."""


def make_looker(settings: CameraSettings, *, counts: SourceCounts, patience: Patience) -> Looker:
    """A camera's eye, for this process."""
    return Looker(
        camera=settings.name,
        sampler=Sampler(settings.fps, settings.masks),
        counts=counts,
        stale_after_seconds=patience.stale,
        skip_still=settings.skip_still,
    )


class ThreadReading:
    """A source that is read here, in the thread that iterates.

    The looker is this thread's own: should it hang while it looks, its successor waits for nothing.
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        looker: Looker,
        counts: SourceCounts,
        patience: Patience,
        quit: threading.Event,
        make_source: Callable[..., Source],
    ) -> None:
        self._settings = settings
        self._looker = looker
        self._counts = counts
        self._patience = patience
        self._quit = quit
        self._make_source = make_source
        self._source: Source | None = None
        self._inside_since_seconds: float | None = None

    @property
    def live(self) -> bool:
        return self._source.live if self._source is not None else self._settings.live

    def hanging_seconds(self) -> float | None:
        inside_since_seconds = self._inside_since_seconds
        if inside_since_seconds is None:
            return None
        seconds = time.monotonic() - max(inside_since_seconds, self._counts.alive_monotonic_seconds)
        allowed_seconds = self._patience.hang if self._source is None else self._patience.stall
        return seconds if seconds > allowed_seconds else None

    def __enter__(self) -> Self:
        self._inside_since_seconds = time.monotonic()
        try:
            self._source = self._make_source(
                self._settings,
                quit=self._quit,
                counts=self._counts,
                open_timeout_seconds=self._patience.open,
                read_timeout_seconds=self._patience.read,
            ).__enter__()
        finally:
            self._inside_since_seconds = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._inside_since_seconds = time.monotonic()
        if self._source is not None:
            self._source.__exit__(kind, error, traceback)
        self._inside_since_seconds = None

    def __iter__(self) -> Iterator[Frame | None]:
        source = self._source
        assert source is not None
        self._inside_since_seconds = time.monotonic()
        for picture in source:
            if self._quit.is_set():
                return
            if self._looker.accepts(picture.time_seconds):
                self._inside_since_seconds = time.monotonic()
                frame = self._looker.frame_of(picture)  # FFmpeg again, which converts
                source.key_frames_only = self._looker.wants_key_frames_only
                self._inside_since_seconds = None
                yield frame
            self._inside_since_seconds = time.monotonic()
        self._inside_since_seconds = None
