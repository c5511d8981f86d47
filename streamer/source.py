"""What a capture loop reads from: a Source of Pictures, chosen by scheme; knows no decoder until asked for one."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from streamer.clock import wall_seconds

if TYPE_CHECKING:
    from streamer.settings import CameraSettings

__all__ = ["Picture", "Source", "SourceCounts", "SourceInfo", "open_source", "pause"]

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

    def gray(self, width: int) -> NDArray[np.uint8]:
        """A small, cheap grey picture: uint8 [h, width], upright as `rgb` is, owned by the caller."""


class Source(AbstractContextManager["Source"], Protocol):
    """An open camera or file. Iterating blocks; the end of the iteration is the end of a finite source.

    live             True: runs on the wall clock, newest wins. False: paced, nothing may be lost
    key_frames_only  set at any time by the thread that iterates: the scene is still, so decode key frames only. A
                     source that cannot ignores it

    Raises while iterating: CameraError. A live source that ends raises CameraError("lost", ...).
    """

    key_frames_only: bool

    @property
    def live(self) -> bool: ...

    def __enter__(self) -> Self: ...

    def __iter__(self) -> Iterator[Picture]: ...


@dataclass(slots=True)
class SourceCounts:
    """What a source read, and what of it it did not show; plain values, and lives longer than one connection.

    num_packets                     packets of the video stream
    num_skipped                     packets that were not decoded: the scene was still, or the stream was behind
    num_corrupt                     damaged pictures
    num_late                        pictures that were too old to be shown
    last_arrival_monotonic_seconds  time.monotonic() when the newest packet of the video came; None: none yet
    alive_monotonic_seconds         time.monotonic() when the source last came out of FFmpeg, or out of a pause
    transport                       "tcp" or "udp": what gave the last picture, or the other one after a try without
    hardware_failed                 decoding on hardware gave no picture: the CPU decodes from now on
    decodes_key_frames_only         the scene is still, and pictures come seconds apart
    """

    num_packets: int = 0
    num_skipped: int = 0
    num_corrupt: int = 0
    num_late: int = 0
    last_arrival_monotonic_seconds: float | None = None
    alive_monotonic_seconds: float = 0.0
    transport: str | None = None
    hardware_failed: bool = False
    decodes_key_frames_only: bool = False

    def count_arrival(self) -> None:
        """A packet of the video came just now."""
        self.num_packets += 1
        self.last_arrival_monotonic_seconds = self.alive_monotonic_seconds = time.monotonic()

    @property
    def silent_seconds(self) -> float | None:
        """Since the newest packet of the video; None before the first."""
        last_seconds = self.last_arrival_monotonic_seconds
        return None if last_seconds is None else time.monotonic() - last_seconds

    def count_alive(self) -> None:
        """The source is at work, though nothing came."""
        self.alive_monotonic_seconds = time.monotonic()


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a stream says of itself.

    decoder    "h264", or with hardware "h264 on cuda"
    transport  how an RTSP camera sends: "tcp" or "udp"
    """

    codec: str
    width: int
    height: int
    fps_announced: float | None
    decoder: str = ""
    transport: str | None = None


def pause(quit: threading.Event, seconds: float, counts: SourceCounts) -> bool:
    """For a source that waits on purpose: True if `quit` came. It shows a sign of life every second."""
    until_seconds = time.monotonic() + seconds
    while not quit.is_set():
        counts.count_alive()
        left_seconds = until_seconds - time.monotonic()
        if left_seconds <= 0:
            return False
        quit.wait(min(left_seconds, 1.0))
    return True


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

        source: Source = YardSource.from_url(
            settings.url.reveal(), start_seconds=start_seconds, quit=quit, counts=counts
        )
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
        transport=settings.transport,
        decode=settings.decode,
        verify_tls=settings.verify_tls,
    )
