"""Patience: how long each of a camera's clocks waits; knows nothing else."""

from dataclasses import dataclass

__all__ = ["Patience"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds; tests wait less.

    open, read     the socket: to be connected, and for each packet; packets of which no good picture comes for `read`
                   are as good as none
    stale          without a picture for so long, a live camera is stale, and what follows comes after a gap; less than
                   `read`, after which it is offline
    stall          an open stream that FFmpeg waits for so long, in spite of its own time-out, is torn down
    hang           likewise for opening: well over the time-outs, a slow name server
    child_start    a reading process that says nothing at all for so long is ended
    child_silence  a reading process that has begun, and then says nothing for so long, is ended
    first_pause, longest_pause  between two tries
    auth_pause     after a wrong password: cameras lock out who tries it too often
    good           after so long with pictures the next pause is the first one again
    leave          closing waits for a thread
    """

    open: float = 10.0
    read: float = 10.0
    stale: float = 5.0
    stall: float = 20.0
    hang: float = 45.0
    child_start: float = 45.0
    child_silence: float = 10.0
    first_pause: float = 1.0
    longest_pause: float = 60.0
    auth_pause: float = 30.0
    good: float = 60.0
    leave: float = 0.5

    @property
    def key_frames_stale(self) -> float:
        """As `stale`, while only key frames are decoded: they come seconds apart."""
        return 3.0 * self.stale

    def stale_after(self, *, usual_seconds: float) -> float:
        """As `stale`, for a camera that usually gives a picture every so many seconds: a slow one may miss one."""
        return min(max(self.stale, 2.2 * usual_seconds), self.key_frames_stale)

    @property
    def tick(self) -> float:
        """How often the clocks are looked at."""
        return min(1.0, self.stale / 4, self.stall / 4, self.hang / 4)
