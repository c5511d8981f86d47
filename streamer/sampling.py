"""Sampler: which pictures deserve encoding, and the privacy masks; knows no decoder. Runs in the capture thread.

The rate is decided by a picture's time alone, before any conversion.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Sampler"]

_INTERVAL_SMOOTHING = 0.1

Polygon = Sequence[tuple[float, float]]


class Sampler:
    """At most `fps` pictures per second of the camera's clock, without drift, and masks in fractions of the picture.

    Due times form a grid from the first picture; the picture nearest to each due time is taken, so jitter of less than
    half the source's frame interval changes nothing. After a pause the grid starts anew.
    """

    def __init__(self, fps: float, masks: Sequence[Polygon] = ()) -> None:
        if not fps > 0:
            raise ValueError(f"fps must be greater than 0, got {fps}")
        for mask in masks:
            if len(mask) < 3:
                raise ValueError(f"a mask needs at least 3 points, got {len(mask)}")
        self.masks = tuple(masks)
        self._period_seconds = 1.0 / fps
        self._masks = [np.asarray(mask, dtype=np.float64) for mask in masks]
        self._due_seconds: float | None = None
        self._last_seconds: float | None = None
        self._interval_seconds: float | None = None

    def wants(self, time_seconds: float) -> bool:
        """True if the picture of this time deserves encoding. Call it for every picture, in order."""
        self._learn_interval(time_seconds)
        if self._due_seconds is None:
            self._due_seconds = time_seconds + self._period_seconds
            return True
        tolerance_seconds = 0.5 * (self._interval_seconds or 0.0)
        if time_seconds < self._due_seconds - tolerance_seconds:
            return False
        self._due_seconds += self._period_seconds
        if self._due_seconds <= time_seconds:  # a pause, or a source slower than fps
            self._due_seconds = time_seconds + self._period_seconds
        return True

    def apply_masks(self, pixels: NDArray[np.uint8]) -> None:
        """Paints the masks black, in place. pixels: uint8 [H, W, 3]."""
        if not self._masks:
            return
        height, width = pixels.shape[:2]
        scale = np.array([width, height], dtype=np.float64)
        for mask in self._masks:
            points = np.rint(mask * scale).astype(np.int32)
            cv2.fillPoly(pixels, [points], (0, 0, 0))

    def _learn_interval(self, time_seconds: float) -> None:
        """Keeps a running mean of the source's frame interval; at most one period, so that pauses teach nothing."""
        if self._last_seconds is not None:
            interval_seconds = min(max(time_seconds - self._last_seconds, 0.0), self._period_seconds)
            if self._interval_seconds is None:
                self._interval_seconds = interval_seconds
            else:
                self._interval_seconds += _INTERVAL_SMOOTHING * (interval_seconds - self._interval_seconds)
        self._last_seconds = time_seconds
