"""The spans in which a camera gave memory nothing to see, so that an answer can say "not observed".

It knows no frames and no slots: whoever loses a camera or drops a frame tells it.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass

from memory.checks import check_camera, check_sizes


@dataclass(frozen=True, order=True)
class Gap:
    """A span of UTC seconds without frames.

    Raises:
        ValueError: a time is not finite, or the end is before the start.
    """

    start_seconds: float
    end_seconds: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_seconds) and math.isfinite(self.end_seconds)):
            raise ValueError(f"a gap needs finite times, received {self.start_seconds} .. {self.end_seconds}")
        if self.end_seconds < self.start_seconds:
            raise ValueError(f"a gap ends after it starts, received {self.start_seconds} .. {self.end_seconds}")


class GapLog:
    """The newest `capacity` gaps of each camera in order of time; gaps that touch or overlap are one gap.

    Raises:
        ValueError: `num_cameras` or `capacity` is not positive.
    """

    def __init__(self, num_cameras: int, capacity: int = 64) -> None:
        check_sizes(num_cameras=num_cameras, capacity=capacity)
        self.num_cameras = num_cameras
        self.capacity = capacity
        self._gaps: list[list[Gap]] = [[] for _ in range(num_cameras)]

    def add(self, camera: int, start_seconds: float, end_seconds: float) -> None:
        """Notes a gap; when more than `capacity` are left after joining, the oldest is forgotten.

        Raises:
            ValueError: no such camera, or times that `Gap` refuses.
        """
        gaps = self._of(camera)
        new = Gap(start_seconds, end_seconds)
        first = bisect_left(gaps, new.start_seconds, key=lambda gap: gap.end_seconds)
        last = first
        while last < len(gaps) and gaps[last].start_seconds <= new.end_seconds:
            last += 1
        if touched := gaps[first:last]:
            start = min(new.start_seconds, touched[0].start_seconds)
            new = Gap(start, max(new.end_seconds, touched[-1].end_seconds))
        gaps[first:last] = [new]
        del gaps[: max(0, len(gaps) - self.capacity)]

    def between(self, camera: int, start_seconds: float, end_seconds: float) -> tuple[Gap, ...]:
        """The gaps that share a moment with `start_seconds .. end_seconds`, oldest first, not clipped to it.

        Raises:
            ValueError: no such camera.
        """
        return tuple(
            gap for gap in self._of(camera) if gap.end_seconds >= start_seconds and gap.start_seconds <= end_seconds
        )

    def _of(self, camera: int) -> list[Gap]:
        check_camera(camera, self.num_cameras)
        return self._gaps[camera]
