"""ChangeDetector: does a picture show anything that the newest one in memory does not? Knows no camera and no memory.

It compares with that picture, not with a background that it learned: who came and stands still is no news, who left is.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["GRAY_WIDTH", "ChangeDetector"]

GRAY_WIDTH = 160
"""Pictures are compared this small: a person of 12 x 30 in a picture of 640 is then 3 x 8."""

_TOLERANCE = 7.0  # grey levels: compression, and what light drifts in the seconds between two pictures
_NOISE_FACTOR = 3.0
_FIRST_NOISE = 2.0
_MAX_NOISE = 16.0  # what sways all the time must differ by 55 levels, never by more
_NOISE_SHARE = 0.05
_MAX_LIGHT_SHIFT = 6.0  # of the whole picture: a camera that adjusts itself; more is news
_MAX_EXCESS = 40.0  # so that one hot pixel is not enough
_SPOT = (5, 5)
_AROUND = np.ones((3, 3), np.uint8)
_SPOT_AND_EDGE = np.ones((7, 7), np.uint8)
_NEWS = 70.0
_RESTLESS_STEP_SECONDS = 1.0
_RESTLESS_SHARE = 0.03
_RESTLESS = 0.5
_MAX_RESTLESS_AREA = 0.03

Gray = NDArray[np.uint8]
Polygon = Sequence[tuple[float, float]]


class ChangeDetector:
    """`differs(gray)` for each picture in order; `keep()` where the picture just judged went into memory.

    News is a spot of 5 x 5 pixels (20 x 20 of a picture of 640) that differs by more than the noise there, by 70 grey
    levels in all. What is no news:
    - noise: how much each pixel differs from one picture to the next is learned, so that a tree in the wind becomes
      still; its bound keeps a person before the tree visible;
    - light: a shift of the whole picture by up to 6 levels is taken out;
    - a clock in the picture, a blinking light: a spot that differs from second to second most of the time does not
      count, while such spots are at most 3 % of the picture. A busy street is more than that, and counts.

    masks: polygons in fractions of the picture; nothing in them counts
    """

    def __init__(self, masks: Sequence[Polygon] = ()) -> None:
        self._masks = [np.asarray(mask, dtype=np.float64) for mask in masks]
        self._visible: Gray | None = None
        self._kept: Gray | None = None
        self._last: Gray | None = None
        self._second_ago: Gray | None = None
        self._second_ago_seconds = 0.0
        self._noise: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._restless: NDArray[np.float32] = np.zeros((0, 0), np.float32)

    def differs(self, gray: Gray, time_seconds: float) -> bool:
        """gray: uint8 [h, w], about `GRAY_WIDTH` wide, taken over. True for the first, and for one of another size."""
        last = self._last
        if last is None or last.shape != gray.shape:
            self._begin(gray, time_seconds)
            return True
        if self._visible is not None:
            gray = cv2.bitwise_and(gray, self._visible)
        step = np.minimum(cv2.absdiff(gray, last), np.uint8(_MAX_NOISE))
        cv2.accumulateWeighted(step, self._noise, _NOISE_SHARE)
        self._last = gray
        tolerated = cv2.convertScaleAbs(cv2.dilate(self._noise, _AROUND), alpha=_NOISE_FACTOR, beta=_TOLERANCE)
        self._learn_restless(gray, tolerated, time_seconds)
        if self._kept is None:
            return True
        spots = self._news(gray, self._kept, tolerated)
        return self._largest(spots) > _NEWS

    def keep(self) -> None:
        """The picture judged last is what memory has now."""
        self._kept = self._last

    def _begin(self, gray: Gray, time_seconds: float) -> None:
        height, width = gray.shape
        if self._masks:
            self._visible = np.full((height, width), 255, np.uint8)
            for mask in self._masks:
                cv2.fillPoly(self._visible, [np.rint(mask * (width, height)).astype(np.int32)], 0)
            gray = cv2.bitwise_and(gray, self._visible)
        self._noise = np.full((height, width), _FIRST_NOISE, np.float32)
        self._restless = np.zeros((height, width), np.float32)
        self._last, self._kept = gray, None
        self._second_ago, self._second_ago_seconds = gray, time_seconds

    def _learn_restless(self, gray: Gray, tolerated: Gray, time_seconds: float) -> None:
        second_ago = self._second_ago
        assert second_ago is not None
        if time_seconds - self._second_ago_seconds < 0.95 * _RESTLESS_STEP_SECONDS:
            return
        is_news = (self._news(gray, second_ago, tolerated) > _NEWS).astype(np.uint8)
        cv2.accumulateWeighted(is_news, self._restless, _RESTLESS_SHARE)
        self._second_ago, self._second_ago_seconds = gray, time_seconds

    def _news(self, gray: Gray, before: Gray, tolerated: Gray) -> NDArray[np.float32]:
        """float32 [h, w]: grey levels beyond the noise, in the spot around each pixel."""
        shift = cv2.mean(gray, self._visible)[0] - cv2.mean(before, self._visible)[0]
        expected = cv2.add(before, float(round(min(max(shift, -_MAX_LIGHT_SHIFT), _MAX_LIGHT_SHIFT))))
        if self._visible is not None:
            expected = cv2.bitwise_and(expected, self._visible)
        excess = np.minimum(cv2.subtract(cv2.absdiff(gray, expected), tolerated), np.uint8(_MAX_EXCESS))
        return np.asarray(cv2.boxFilter(excess, cv2.CV_32F, _SPOT, normalize=False), np.float32)

    def _largest(self, spots: NDArray[np.float32]) -> float:
        """The most that is new in any spot that counts."""
        restless = cv2.dilate(cv2.compare(self._restless, _RESTLESS, cv2.CMP_GT), _SPOT_AND_EDGE)
        is_small = cv2.countNonZero(restless) <= _MAX_RESTLESS_AREA * restless.size
        return float(cv2.minMaxLoc(spots, mask=cv2.bitwise_not(restless) if is_small else None)[1])
