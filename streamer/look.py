"""Looker: decoded pictures become sampled, masked frames that know their gaps; knows no decoder and no event loop.

Where the scene is still, a frame is only the news that it is still: no colour is converted, and nothing is encoded.
"""

from streamer.change import GRAY_WIDTH, ChangeDetector
from streamer.frame import NO_PIXELS, Frame
from streamer.rate import RateMeter
from streamer.sampling import Sampler
from streamer.source import Picture, SourceCounts

__all__ = ["HEARTBEAT_SECONDS", "STILL_SECONDS", "Looker"]

HEARTBEAT_SECONDS = 10.0
"""At least so often a frame has pixels, so that memory sees what changes too slowly to be a change."""
STILL_SECONDS = 5.0
"""After so long without a change, key frames are enough."""
_GAP_STEPS = 5.0  # a slow camera, or a time lapse, is no row of gaps
_MAX_KEY_FRAME_SECONDS = 10.0  # more than KeptPackets keeps


class Looker:
    """One camera's eye; belongs to one thread, which decodes, and lives longer than one connection.

    stale_after_seconds  a longer pause between two pictures, and of more than five usual steps, is a gap
    skip_still           pictures that show nothing new become still frames
    seen                 pictures that were not late
    num_sampled          pictures that the sampler wanted: all of them became frames, still or not
    """

    def __init__(
        self,
        *,
        camera: str,
        sampler: Sampler,
        counts: SourceCounts,
        stale_after_seconds: float,
        skip_still: bool = True,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        still_seconds: float = STILL_SECONDS,
    ) -> None:
        self.seen = RateMeter()
        self.num_sampled = 0
        self._camera = camera
        self._sampler = sampler
        self._counts = counts
        self._stale_after_seconds = stale_after_seconds
        self._detector = ChangeDetector(sampler.masks) if skip_still else None
        self._heartbeat_seconds = heartbeat_seconds
        self._still_seconds = still_seconds
        self._last_seconds: float | None = None
        self._step_seconds = 0.0
        self._gap_start_seconds: float | None = None
        self._pixels_seconds: float | None = None
        self._changed_seconds: float | None = None

    @property
    def wants_key_frames_only(self) -> bool:
        """True while the scene is still, and has been for some seconds."""
        if self._last_seconds is None or self._changed_seconds is None:
            return False
        return self._last_seconds - self._changed_seconds >= self._still_seconds

    def accepts(self, time_seconds: float) -> bool:
        """True for a picture that is newer than all before. Call it for every picture, in order."""
        last_seconds = self._last_seconds
        if last_seconds is not None and time_seconds <= last_seconds:
            self._counts.num_late += 1
            return False
        if last_seconds is not None:
            step_seconds = time_seconds - last_seconds
            usual_seconds = _MAX_KEY_FRAME_SECONDS if self.wants_key_frames_only else _GAP_STEPS * self._step_seconds
            if step_seconds > max(self._stale_after_seconds, usual_seconds):
                self._gap_start_seconds = self._gap_start_seconds or last_seconds
            self._step_seconds = step_seconds
        self._last_seconds = time_seconds
        self.seen.count()
        return True

    def frame_of(self, picture: Picture) -> Frame | None:
        """An accepted picture's frame, where it deserves one. Only where it shows something new it is converted."""
        if not self._sampler.wants(picture.time_seconds):
            return None
        is_still = self._is_still(picture)
        pixels = NO_PIXELS
        if not is_still:
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

    def follow(self, before: "Looker") -> None:
        """Goes on after another one, which a thread that was given up may still use: what it sees does not count."""
        self.seen = before.seen
        self.num_sampled = before.num_sampled
        self._last_seconds = before._last_seconds
        self.lose()

    def lose(self) -> None:
        """The stream broke off: what comes next comes after a gap."""
        self._gap_start_seconds = self._last_seconds
        self._changed_seconds = None

    def _is_still(self, picture: Picture) -> bool:
        if self._detector is None:
            return False
        now_seconds = picture.time_seconds
        differs = self._detector.differs(picture.gray(GRAY_WIDTH), now_seconds)
        if differs or self._gap_start_seconds is not None or self._changed_seconds is None:
            self._changed_seconds = now_seconds
        elif self._pixels_seconds is not None and now_seconds - self._pixels_seconds < self._heartbeat_seconds:
            return True
        self._detector.keep()
        self._pixels_seconds = now_seconds
        return False
