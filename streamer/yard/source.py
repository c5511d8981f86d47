"""The yard as a camera: demo://yard?seed=7&speed=1&lively=1 gives Pictures that are drawn only when they are wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.clock import wall_seconds
from streamer.errors import CameraError
from streamer.source import SourceCounts, pause
from streamer.yard.render import render
from streamer.yard.world import FRAMES_PER_SECOND, World

_MAX_SPEED = 10_000.0
_EXPECTED = "expected demo://yard?seed=7&speed=1"


class YardPicture:
    """One moment of a world, drawn once, when it is asked for."""

    def __init__(self, world: World, time_seconds: float, pts_seconds: float) -> None:
        self.time_seconds = time_seconds
        self.pts_seconds = pts_seconds
        self._world = world
        self._drawn: NDArray[np.uint8] | None = None

    def rgb(self) -> NDArray[np.uint8]:
        """uint8 [360, 640, 3]."""
        return self._draw().copy()

    def gray(self, width: int) -> NDArray[np.uint8]:
        """uint8 [h, width]."""
        pixels = cv2.cvtColor(self._draw(), cv2.COLOR_RGB2GRAY)
        height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
        small: NDArray[np.uint8] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        return small

    def _draw(self) -> NDArray[np.uint8]:
        if self._drawn is None:
            self._drawn = render(self._world.state_at(self.time_seconds))
        return self._drawn


class YardSource:
    """10 pictures per second of the yard's time, for ever.

    lively: see `World`.
    speed 1: live, on the wall clock; a picture that could not be given in time is left out.
    Any other speed: paced, on its own clock from `start_seconds`, at most `speed` times as fast as the wall clock.
    """

    def __init__(
        self,
        *,
        seed: int,
        speed: float,
        lively: bool = False,
        start_seconds: float,
        quit: threading.Event,
        counts: SourceCounts | None = None,
    ) -> None:
        self.live = speed == 1
        self.key_frames_only = False  # every picture is drawn whole
        self._world = World(seed, lively=lively)
        self._speed = speed
        self._start_seconds = start_seconds
        self._quit = quit
        self._counts = counts or SourceCounts()

    @classmethod
    def from_url(
        cls, url: str, *, start_seconds: float, quit: threading.Event, counts: SourceCounts | None = None
    ) -> YardSource:
        """Raises: CameraError ("unsupported") for another host, key or value than demo://yard?seed=..&speed=.. has."""
        parts = urlsplit(url)
        values = parse_qs(parts.query, keep_blank_values=True)
        unknown = sorted(set(values) - {"seed", "speed", "lively"})
        if parts.hostname != "yard" or parts.path not in ("", "/") or unknown:
            what = f"does not know {', '.join(unknown)}" if unknown else "has one place, the yard"
            raise CameraError("unsupported", f"{url}: the built-in camera {what}; {_EXPECTED}")
        try:
            seed, speed = int(values.get("seed", ["7"])[-1]), float(values.get("speed", ["1"])[-1])
            lively = bool(int(values.get("lively", ["0"])[-1]))
        except ValueError as error:
            raise CameraError("unsupported", f"{url}: seed, speed and lively must be numbers; {_EXPECTED}") from error
        if seed < 0 or not 0 < speed <= _MAX_SPEED:
            limits = f"seed must be 0 or more and speed above 0, at most {_MAX_SPEED:.0f}"
            raise CameraError("unsupported", f"{url}: {limits}; {_EXPECTED}")
        return cls(seed=seed, speed=speed, lively=lively, start_seconds=start_seconds, quit=quit, counts=counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def __iter__(self) -> Iterator[YardPicture]:
        return self._live_pictures() if self.live else self._paced_pictures()

    def _live_pictures(self) -> Iterator[YardPicture]:
        period_seconds = 1 / FRAMES_PER_SECOND
        first_seconds = wall_seconds()
        index = 0
        while not self._quit.wait(max(0.0, first_seconds + index * period_seconds - wall_seconds())):
            yield YardPicture(self._world, first_seconds + index * period_seconds, index * period_seconds)
            index = max(index + 1, int((wall_seconds() - first_seconds) / period_seconds))

    def _paced_pictures(self) -> Iterator[YardPicture]:
        began_monotonic_seconds = time.monotonic()
        index = 0
        while not self._quit.is_set():
            pts_seconds = index / FRAMES_PER_SECOND
            ahead_seconds = began_monotonic_seconds + pts_seconds / self._speed - time.monotonic()
            if ahead_seconds > 0 and pause(self._quit, ahead_seconds, self._counts):
                return
            yield YardPicture(self._world, self._start_seconds + pts_seconds, pts_seconds)
            index += 1
