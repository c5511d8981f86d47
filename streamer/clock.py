"""Clocks of cameras: a wall clock that never goes back, arrivals without bursts, a file's own time; know no camera."""

import threading
import time
from collections.abc import Callable

__all__ = [
    "LiveClock",
    "PacedClock",
    "SteadyClock",
    "WallClock",
    "run_on",
    "wall_of_moments",
    "wall_seconds",
    "wall_seconds_when",
]

_MAX_LAG_SECONDS = 2.0
_HOLD_BACK_SECONDS = 1.0
_SETTLE_SECONDS = 3.0
_EDGE_SECONDS = 0.004
_WAITED_SHARE = 0.5
_MAX_TIES_LOST = 3
_FORGET_SECONDS = 10.0
_CATCH_UP_RATE = 0.5


class WallClock:
    """UTC epoch seconds that never go back: after the system clock was set back, this one runs at half speed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_seconds = 0.0
        self._last_monotonic_seconds = 0.0
        self._rate = 1.0

    def seconds(self) -> float:
        return self.seconds_at(system_seconds=time.time(), monotonic_seconds=time.monotonic())

    def seconds_when(self, monotonic_seconds: float) -> float:
        """What it showed a moment ago, when time.monotonic() was so; later moments have later times."""
        return self.of_moments()(monotonic_seconds)

    def of_moments(self) -> Callable[[float], float]:
        """`seconds_when` for moments that belong together: by one reading, so that nothing comes between them."""
        now_monotonic_seconds = time.monotonic()
        now_seconds = self.seconds_at(system_seconds=time.time(), monotonic_seconds=now_monotonic_seconds)
        rate = self._rate
        return lambda monotonic_seconds: now_seconds - rate * max(0.0, now_monotonic_seconds - monotonic_seconds)

    def seconds_at(self, *, system_seconds: float, monotonic_seconds: float) -> float:
        """The reading for given readings of the two clocks below."""
        with self._lock:
            passed_seconds = max(0.0, monotonic_seconds - self._last_monotonic_seconds)
            at_least = self._last_seconds + _CATCH_UP_RATE * passed_seconds if self._last_seconds else 0.0
            self._rate = _CATCH_UP_RATE if system_seconds < at_least else 1.0
            self._last_seconds = max(system_seconds, at_least)
            self._last_monotonic_seconds = monotonic_seconds
            return self._last_seconds


class SteadyClock(WallClock):
    """For a child process: time.monotonic(), which all processes share, and a constant; no system clock.

    Who knows the constant can turn its times into those of any other clock of this machine.
    """

    def __init__(self, ahead_seconds: float) -> None:
        super().__init__()
        self._ahead_seconds = ahead_seconds

    def seconds_at(self, *, system_seconds: float, monotonic_seconds: float) -> float:  # noqa: ARG002 - on purpose
        return self._ahead_seconds + monotonic_seconds


_process_clock = WallClock()


def run_on(clock: WallClock) -> None:
    """From now on this process's wall clock is another one."""
    global _process_clock
    _process_clock = clock


def wall_seconds() -> float:
    """Now, in UTC epoch seconds, for the whole process; never goes back."""
    return _process_clock.seconds()


def wall_seconds_when(monotonic_seconds: float) -> float:
    """What `wall_seconds` was a moment ago, when time.monotonic() was so."""
    return _process_clock.seconds_when(monotonic_seconds)


def wall_of_moments() -> Callable[[float], float]:
    """`wall_seconds_when` for moments that belong together: their order is kept whatever the system clock does."""
    return _process_clock.of_moments()


class LiveClock:
    """Gives a live picture its time from its arrival, or None if it is late and should not be shown.

    Times are on the clock of the arrivals: a monotonic one, so that no change of the system clock makes pictures late.

    A new client of an RTSP server first gets a backlog of some seconds in a burst, and a network stall ends in one.
    Such pictures are older than their arrival says. The least delayed picture so far ties the stream's own time stamps
    to the clock; a later picture's time follows from it and is never later than its arrival. Late are: the first
    pictures, until one had to be waited for; pictures of the first burst (they come much faster than their time
    stamps); pictures more than 2 s behind; and what would not be newer than the picture before. Time stamps that stay
    behind for a second are tied anew, if reading waited for the packets meanwhile: who does not wait is drowning in
    old packets. After three new ties the stamps are not believed any more.
    """

    def __init__(self, *, trusts_pts: bool) -> None:
        self._trusts_pts = trusts_pts
        self._num_ties_lost = 0
        self._first_seconds: float | None = None
        self._is_backlog = True
        self._offset_seconds: float | None = None
        self._settled_seconds = 0.0
        self._behind_since_seconds: float | None = None
        self._behind_waited_seconds = 0.0
        self._last_arrival_seconds = 0.0
        self._last_pts_seconds = 0.0
        self._last_seconds: float | None = None
        self.is_drowning = False

    def time_of(
        self, *, arrival_seconds: float, pts_seconds: float | None, waited_seconds: float | None = None
    ) -> float | None:
        """The picture's time on the clock of the arrivals, greater than any before; None: late.

        waited_seconds: how long reading waited for the picture's packet; None: not known.
        """
        time_seconds = self._from_arrival(arrival_seconds, pts_seconds, waited_seconds)
        if self._is_in_backlog(arrival_seconds, waited_seconds):
            return None
        return self._newer(time_seconds)

    def past_time_of(self, *, arrival_seconds: float, pts_seconds: float | None) -> float | None:
        """As `time_of`, for a picture that is known to be old: by the tie that there is."""
        if not self._trusts_pts or pts_seconds is None or self._offset_seconds is None:
            return None
        return self._newer(min(arrival_seconds, pts_seconds + self._offset_seconds))

    def skip(self, *, arrival_seconds: float, pts_seconds: float | None, waited_seconds: float) -> None:
        """A packet that is not decoded tells, too, whether the stream `is_drowning`."""
        self._from_arrival(arrival_seconds, pts_seconds, waited_seconds)

    def _newer(self, time_seconds: float | None) -> float | None:
        if time_seconds is None or (self._last_seconds is not None and time_seconds <= self._last_seconds):
            return None
        self._last_seconds = time_seconds
        return time_seconds

    def _is_in_backlog(self, arrival_seconds: float, waited_seconds: float | None) -> bool:
        """Until a packet had to be waited for, pictures come from what had piled up; at most for a second."""
        if self._is_backlog:
            if self._first_seconds is None:
                self._first_seconds = arrival_seconds
            waited = waited_seconds is None or waited_seconds >= _EDGE_SECONDS
            self._is_backlog = not waited and arrival_seconds - self._first_seconds < _HOLD_BACK_SECONDS
        return self._is_backlog

    def _from_arrival(
        self, arrival_seconds: float, pts_seconds: float | None, waited_seconds: float | None
    ) -> float | None:
        if not self._trusts_pts or pts_seconds is None:
            return arrival_seconds
        delay_seconds = arrival_seconds - pts_seconds
        if self._offset_seconds is None:
            self._tie(arrival_seconds, delay_seconds)
            return arrival_seconds
        passed_seconds = arrival_seconds - self._last_arrival_seconds
        pts_step_seconds = pts_seconds - self._last_pts_seconds
        self._last_arrival_seconds, self._last_pts_seconds = arrival_seconds, pts_seconds
        lag_seconds = delay_seconds - self._offset_seconds
        if lag_seconds > _MAX_LAG_SECONDS:
            waited_seconds = passed_seconds if waited_seconds is None else waited_seconds
            return self._hold_back(arrival_seconds, delay_seconds, waited_seconds)
        self._behind_since_seconds = None
        self.is_drowning = False
        if lag_seconds <= 0:
            self._offset_seconds = delay_seconds
            in_burst = arrival_seconds < self._settled_seconds and passed_seconds < 0.5 * pts_step_seconds
            return None if in_burst else arrival_seconds
        self._offset_seconds += lag_seconds * min(1.0, passed_seconds / _FORGET_SECONDS)
        return pts_seconds + self._offset_seconds

    def _hold_back(self, arrival_seconds: float, delay_seconds: float, waited_seconds: float) -> float | None:
        """Far behind: None at first (a burst will catch up), a new tie when it stays so though packets are awaited."""
        if self._behind_since_seconds is None:
            self._behind_since_seconds = arrival_seconds
            self._behind_waited_seconds = 0.0
            return None
        self._behind_waited_seconds += waited_seconds
        behind_seconds = arrival_seconds - self._behind_since_seconds
        if behind_seconds < _HOLD_BACK_SECONDS:
            return None
        if self._behind_waited_seconds < _WAITED_SHARE * behind_seconds:
            self.is_drowning = True
            self._behind_since_seconds = None
            return None
        self._num_ties_lost += 1
        self._trusts_pts = self._num_ties_lost < _MAX_TIES_LOST
        self._tie(arrival_seconds, delay_seconds)
        return arrival_seconds

    def _tie(self, arrival_seconds: float, delay_seconds: float) -> None:
        self._offset_seconds = delay_seconds
        self._settled_seconds = arrival_seconds + _SETTLE_SECONDS
        self._behind_since_seconds = None
        self.is_drowning = False
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
