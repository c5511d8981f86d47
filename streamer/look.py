"""Looker: decoded pictures become sampled, masked frames that know their gaps; knows no decoder and no event loop."""

from streamer.frame import Frame
from streamer.rate import RateMeter
from streamer.sampling import Sampler
from streamer.source import Picture, SourceCounts

__all__ = ["Looker"]

_GAP_STEPS = 5.0  # a slow camera, or a time lapse, is no row of gaps


class Looker:
    """One camera's eye; lives in the thread that decodes, longer than one connection.

    stale_after_seconds  a longer pause between two pictures, and of more than five usual steps, is a gap
    seen                 pictures that were not late
    """

    def __init__(self, *, camera: str, sampler: Sampler, counts: SourceCounts, stale_after_seconds: float) -> None:
        self.seen = RateMeter()
        self.num_sampled = 0
        self._camera = camera
        self._sampler = sampler
        self._counts = counts
        self._stale_after_seconds = stale_after_seconds
        self._last_seconds: float | None = None
        self._step_seconds = 0.0
        self._gap_start_seconds: float | None = None

    def accepts(self, time_seconds: float) -> bool:
        """True for a picture that is newer than all before. Call it for every picture, in order."""
        last_seconds = self._last_seconds
        if last_seconds is not None and time_seconds <= last_seconds:
            self._counts.num_late += 1
            return False
        if last_seconds is not None:
            step_seconds = time_seconds - last_seconds
            if step_seconds > max(self._stale_after_seconds, _GAP_STEPS * self._step_seconds):
                self._gap_start_seconds = self._gap_start_seconds or last_seconds
            self._step_seconds = step_seconds
        self._last_seconds = time_seconds
        self.seen.count()
        return True

    def frame_of(self, picture: Picture) -> Frame | None:
        """An accepted picture's frame, where it deserves one: only then it is converted."""
        if not self._sampler.wants(picture.time_seconds):
            return None
        pixels = picture.rgb()
        self._sampler.apply_masks(pixels)
        frame = Frame(
            pixels=pixels,
            time_seconds=picture.time_seconds,
            pts_seconds=picture.pts_seconds,
            index=self.num_sampled,
            camera=self._camera,
            gap_before=self._gap_start_seconds is not None,
            gap_start_seconds=self._gap_start_seconds,
        )
        self.num_sampled += 1
        self._gap_start_seconds = None
        return frame

    def lose(self) -> None:
        """The stream broke off: what comes next comes after a gap."""
        self._gap_start_seconds = self._last_seconds
