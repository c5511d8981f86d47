"""What a capture loop reads from: a Source of Pictures, chosen by scheme; knows no decoder until asked for one."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from streamer.clock import wall_seconds

if TYPE_CHECKING:
    from streamer.settings import CameraSettings

__all__ = ["Picture", "Source", "SourceCounts", "SourceInfo", "open_source"]

OPEN_TIMEOUT_SECONDS = 10.0
READ_TIMEOUT_SECONDS = 10.0


class Picture(Protocol):
    """One decoded picture, valid until the next one is asked for."""

    @property
    def time_seconds(self) -> float:
        """UTC epoch on the camera's clock."""

    @property
    def pts_seconds(self) -> float | None:
        """The stream's own time stamp, where it has one."""

    def rgb(self) -> NDArray[np.uint8]:
        """Converts or draws: uint8 [H, W, 3] RGB, contiguous, writable, owned by the caller."""


class Source(AbstractContextManager["Source"], Protocol):
    """An open camera or file. Iterating blocks; the end of the iteration is the end of a finite source.

    live  True: runs on the wall clock, newest wins. False: paced, nothing may be lost

    Raises while iterating: CameraError. A live source that ends raises CameraError("lost", ...).
    """

    @property
    def live(self) -> bool: ...

    def __enter__(self) -> Self: ...

    def __iter__(self) -> Iterator[Picture]: ...


@dataclass(slots=True)
class SourceCounts:
    """What a source decoded but did not show; lives longer than one connection."""

    num_corrupt: int = 0
    num_late: int = 0


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a stream says of itself."""

    codec: str
    width: int
    height: int
    fps_announced: float | None


def open_source(
    settings: "CameraSettings",
    *,
    quit: threading.Event,
    start_seconds: float | None = None,
    counts: SourceCounts | None = None,
    open_timeout_seconds: float = OPEN_TIMEOUT_SECONDS,
    read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
) -> Source:
    """Opens a camera; blocks for at most about twice `open_timeout_seconds`.

    start_seconds  the clock's start for a paced source; None: settings.start_seconds, else now

    Raises: CameraError.
    """
    if start_seconds is None:
        start_seconds = settings.start_seconds
    if start_seconds is None:
        start_seconds = wall_seconds()
    if settings.kind == "demo":
        from streamer.yard.source import YardSource

        source: Source = YardSource.from_url(settings.url.reveal(), start_seconds=start_seconds, quit=quit)
        return source
    from streamer.av_source import AvSource

    return AvSource.open(
        settings.url,
        kind=settings.kind,
        speed=settings.speed,
        start_seconds=start_seconds,
        quit=quit,
        counts=counts,
        open_timeout_seconds=open_timeout_seconds,
        read_timeout_seconds=read_timeout_seconds,
    )
