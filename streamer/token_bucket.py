"""TokenBucket: so many in a minute and no more, all at once or one by one; knows not of what."""

import time


class TokenBucket:
    """Full at first; each `take` takes one of `per_minute`, which come back evenly."""

    def __init__(self, per_minute: float) -> None:
        if per_minute <= 0:
            raise ValueError(f"expected a positive per_minute, got {per_minute}")
        self._per_minute = per_minute
        self._left = per_minute
        self._at_seconds = time.monotonic()

    def take(self) -> bool:
        """False where none is left."""
        now = time.monotonic()
        self._left = min(self._per_minute, self._left + (now - self._at_seconds) * self._per_minute / 60)
        self._at_seconds = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
