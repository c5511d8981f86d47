"""Backoff: how long to wait before the next try, capped exponential with jitter; knows not what is tried."""

import random

__all__ = ["Backoff"]


class Backoff:
    """1 s, 2 s, 4 s ... up to `cap_seconds`, each between half and all of it: many clients do not come at once."""

    def __init__(self, *, first_seconds: float = 1.0, cap_seconds: float = 60.0) -> None:
        if not 0 < first_seconds <= cap_seconds:
            raise ValueError(f"expected 0 < first_seconds <= cap_seconds, got {first_seconds} and {cap_seconds}")
        self._first_seconds = first_seconds
        self._cap_seconds = cap_seconds
        self._next_seconds = first_seconds

    def next_seconds(self, *, at_least_seconds: float = 0.0) -> float:
        """The pause before the next try; each call doubles the one after."""
        pause_seconds = max(self._next_seconds, min(at_least_seconds, self._cap_seconds))
        self._next_seconds = min(2.0 * self._next_seconds, self._cap_seconds)
        return pause_seconds * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """All was well for a while: the next pause is the first one again."""
        self._next_seconds = self._first_seconds
