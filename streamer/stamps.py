"""Stamps: a decoded frame's time in its stream, also where the file's stamps are missing or wrong; knows no wall clock.

FFmpeg's own rule (guess_correct_pts): the presentation stamp, unless it went back more often than the decoding stamp.
AVI files, as many recorders write them, have no presentation stamps; FFmpeg makes them up, and with B-frames wrongly.
"""

from av.video.frame import VideoFrame

__all__ = ["Stamps"]


class Stamps:
    """One stream's stamps, in the order in which its frames are shown.

    has_pts  False: the container has no presentation stamps, as AVI; what frames carry is made up
    """

    def __init__(self, *, has_pts: bool = True) -> None:
        self._has_pts = has_pts
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._num_wrong_pts = 0
        self._num_wrong_dts = 0

    def seconds_of(self, frame: VideoFrame) -> float | None:
        """None: the stream has no stamp for this frame."""
        pts, dts = frame.pts, frame.dts
        if dts is not None:
            self._num_wrong_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        if pts is not None:
            self._num_wrong_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        trusts_pts = self._has_pts and self._num_wrong_pts <= self._num_wrong_dts
        stamp = pts if pts is not None and (trusts_pts or dts is None) else dts
        return None if stamp is None or frame.time_base is None else float(stamp * frame.time_base)
