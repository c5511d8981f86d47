"""Clocks of cameras: a wall clock that never goes back, arrivals without bursts, a file's own time; know no camera."""

import threading
import time

__all__ = ["LiveClock", "PacedClock", "WallClock", "wall_seconds"]

_MAX_LAG_SECONDS = 2.0
_HOLD_BACK_SECONDS = 1.0
_SETTLE_SECONDS = 3.0
_MAX_TIES_LOST = 3
_FORGET_SECONDS = 10.0
_CATCH_UP_RATE = 0.5


class WallClock:
    """UTC epoch seconds that never go back: after the system clock was set back, this one runs at half speed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_seconds = 0.0
        self._last_monotonic_seconds = 0.0

    def seconds(self) -> float:
        return self.seconds_at(system_seconds=time.time(), monotonic_seconds=time.monotonic())

    def seconds_at(self, *, system_seconds: float, monotonic_seconds: float) -> float:
        """The reading for given readings of the two clocks below."""
        with self._lock:
            passed_seconds = max(0.0, monotonic_seconds - self._last_monotonic_seconds)
            at_least = self._last_seconds + _CATCH_UP_RATE * passed_seconds if self._last_seconds else 0.0
            self._last_seconds = max(system_seconds, at_least)
            self._last_monotonic_seconds = monotonic_seconds
            return self._last_seconds


_process_clock = WallClock()


def wall_seconds() -> float:
    """Now, in UTC epoch seconds, for the whole process; never goes back."""
    return _process_clock.seconds()


class LiveClock:
    """Gives a live picture its wall-clock time from its arrival, or None if it is late and should not be shown.

    A new client of an RTSP server first gets a backlog of some seconds in a burst, and a network stall ends in one.
    Such pictures are older than their arrival says. The least delayed picture so far ties the stream's own time stamps
    to the wall clock; a later picture's time follows from it and is never later than its arrival. Late are: pictures of
    the first burst (they come much faster than their time stamps), pictures more than 2 s behind, and what would not be
    newer than the picture before. Time stamps that stay behind for a second are tied anew; after three times they are
    not believed any more.
    """

    def __init__(self, *, trusts_pts: bool) -> None:
        self._trusts_pts = trusts_pts
        self._num_ties_lost = 0
        self._offset_seconds: float | None = None
        self._settled_seconds = 0.0
        self._behind_since_seconds: float | None = None
        self._last_arrival_seconds = 0.0
        self._last_pts_seconds = 0.0
        self._last_seconds: float | None = None

    def time_of(self, *, arrival_seconds: float, pts_seconds: float | None) -> float | None:
        """The picture's time in UTC epoch seconds, greater than any before; None: late."""
        if self._trusts_pts and pts_seconds is not None:
            time_seconds = self._time_from_pts(arrival_seconds, pts_seconds)
        else:
            time_seconds = arrival_seconds
        if time_seconds is None or (self._last_seconds is not None and time_seconds <= self._last_seconds):
            return None
        self._last_seconds = time_seconds
        return time_seconds

    def _time_from_pts(self, arrival_seconds: float, pts_seconds: float) -> float | None:
        delay_seconds = arrival_seconds - pts_seconds
        if self._offset_seconds is None:
            self._tie(arrival_seconds, delay_seconds)
            return arrival_seconds
        passed_seconds = arrival_seconds - self._last_arrival_seconds
        pts_step_seconds = pts_seconds - self._last_pts_seconds
        self._last_arrival_seconds, self._last_pts_seconds = arrival_seconds, pts_seconds
        lag_seconds = delay_seconds - self._offset_seconds
        if lag_seconds > _MAX_LAG_SECONDS:
            return self._hold_back(arrival_seconds, delay_seconds)
        self._behind_since_seconds = None
        if lag_seconds <= 0:
            self._offset_seconds = delay_seconds
            in_burst = arrival_seconds < self._settled_seconds and passed_seconds < 0.5 * pts_step_seconds
            return None if in_burst else arrival_seconds
        self._offset_seconds += lag_seconds * min(1.0, passed_seconds / _FORGET_SECONDS)
        return pts_seconds + self._offset_seconds

    def _hold_back(self, arrival_seconds: float, delay_seconds: float) -> float | None:
        """Far behind: None at first (a burst will catch up), a new tie when it stays so."""
        if self._behind_since_seconds is None:
            self._behind_since_seconds = arrival_seconds
        if arrival_seconds - self._behind_since_seconds < _HOLD_BACK_SECONDS:
            return None
        self._num_ties_lost += 1
        self._trusts_pts = self._num_ties_lost < _MAX_TIES_LOST
        self._tie(arrival_seconds, delay_seconds)
        return arrival_seconds

    def _tie(self, arrival_seconds: float, delay_seconds: float) -> None:
        self._offset_seconds = delay_seconds
        self._settled_seconds = arrival_seconds + _SETTLE_SECONDS
        self._behind_since_seconds = None
        self._last_arrival_seconds = arrival_seconds
        self._last_pts_seconds = arrival_seconds - delay_seconds


class PacedClock:
    """A file's time: start + pts, counted from the first. Where stamps are missing or jump back, one step further."""

    def __init__(self, start_seconds: float, *, step_seconds: float) -> None:
        self._step_seconds = step_seconds
        self._next_seconds = start_seconds
        self._last_seconds: float | None = None
        self._offset_seconds: float | None = None

    def time_of(self, *, pts_seconds: float | None) -> float:
        """UTC epoch seconds, greater than any before."""
        time_seconds = self._next_seconds
        if pts_seconds is not None:
            if self._offset_seconds is None:
                self._offset_seconds = time_seconds - pts_seconds
            from_pts_seconds = self._offset_seconds + pts_seconds
            if self._last_seconds is None or from_pts_seconds > self._last_seconds:
                time_seconds = from_pts_seconds
            else:
                self._offset_seconds = time_seconds - pts_seconds
        self._last_seconds = time_seconds
        self._next_seconds = time_seconds + self._step_seconds
        return time_seconds
