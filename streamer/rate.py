"""RateMeter: how many events per second there were lately, in bounded memory; knows not what the events are."""

import threading
import time
from collections import deque
from itertools import pairwise
from statistics import median

__all__ = ["RateMeter"]

_WINDOW_EVENTS = 64
_WINDOW_SECONDS = 5.0


class RateMeter:
    """Counts in one thread, read from any. Looks back over 5 s, or 64 events where they are more frequent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: deque[float] = deque(maxlen=_WINDOW_EVENTS)
        self._num_events = 0

    def count(self, num_events: int = 1) -> None:
        """`num_events` happened just now, or since the last call."""
        with self._lock:
            now, last = time.monotonic(), self._times[-1] if self._times else None
            for index in range(max(1, num_events - _WINDOW_EVENTS + 1), num_events + 1):
                self._times.append(now if last is None else last + (now - last) * index / num_events)
            self._num_events += num_events

    @property
    def num_events(self) -> int:
        return self._num_events

    @property
    def silent_seconds(self) -> float | None:
        """Since the last event; None before the first."""
        with self._lock:
            return time.monotonic() - self._times[-1] if self._times else None

    @property
    def usual_seconds(self) -> float:
        """Between two events, the median of those that are remembered, however long ago; 0 for fewer than three."""
        with self._lock:
            times = list(self._times)
        return median(later - earlier for earlier, later in pairwise(times)) if len(times) > 2 else 0.0

    @property
    def per_second(self) -> float:
        """Recent events per second; 0 where there were fewer than two."""
        now = time.monotonic()
        with self._lock:
            recent = [seconds for seconds in self._times if now - seconds <= _WINDOW_SECONDS]
        if len(recent) < 2 or recent[-1] <= recent[0]:
            return 0.0
        return (len(recent) - 1) / (recent[-1] - recent[0])
