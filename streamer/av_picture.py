"""AvPicture: one decoded picture of FFmpeg's, converted to RGB only when asked for; knows no container and no clock."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

__all__ = ["MAX_WIDTH", "AvPicture"]

MAX_WIDTH = 640


class AvPicture:
    """One decoded picture that is converted only when asked for."""

    __slots__ = ("_frame", "_reformatter", "pts_seconds", "time_seconds")

    def __init__(
        self, frame: VideoFrame, reformatter: VideoReformatter, *, time_seconds: float, pts_seconds: float | None
    ) -> None:
        self.time_seconds = time_seconds
        self.pts_seconds = pts_seconds
        self._frame = frame
        self._reformatter = reformatter

    def rgb(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] RGB, at most 640 wide, both sides even where they were made smaller."""
        width, height = _fit(self._frame.width, self._frame.height)
        smaller = width < self._frame.width
        small = self._reformatter.reformat(
            self._frame,
            width=width,
            height=height,
            format="rgb24",
            interpolation=Interpolation.AREA if smaller else Interpolation.BILINEAR,
            threads=1,
        )
        return np.array(small.to_ndarray(), dtype=np.uint8, order="C", copy=True)


def _fit(width: int, height: int) -> tuple[int, int]:
    """At most MAX_WIDTH wide with the same aspect and even sides; never larger."""
    if width <= MAX_WIDTH:
        return width, height
    return MAX_WIDTH, max(2, 2 * round(height * MAX_WIDTH / width / 2))
