"""How many calls and tokens a remote model may cost within an hour: a hard cap; it knows no model and sends nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from llm.errors import BudgetError

HOUR_SECONDS = 3600.0
NOTES_SHARE = 0.5
"""Of both limits; the rest is kept for questions."""


@dataclass(frozen=True)
class Limits:
    """Within any 3,600 seconds. Raises: ValueError where one is not positive."""

    calls_per_hour: int = 120
    tokens_per_hour: int = 200_000

    def __post_init__(self) -> None:
        if self.calls_per_hour < 1 or self.tokens_per_hour < 1:
            raise ValueError(f"expected limits of at least 1, received {self.calls_per_hour}, {self.tokens_per_hour}")


@dataclass(eq=False)
class Spent:
    """One call: `tokens` are an estimate until `Budget.settle`."""

    at_seconds: float
    tokens: int
    is_note: bool


class Budget:
    """A sliding window of an hour; a call is reserved before it is sent, with the tokens that it may cost.

    Counted since the start: `num_calls`, `num_tokens`, `num_refused` (questions that were over the limits).
    `clock` counts seconds.
    """

    def __init__(self, limits: Limits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or Limits()
        self._clock = clock
        self._window: deque[Spent] = deque()  # at most `calls_per_hour`
        self._last_note_seconds: float | None = None
        self.num_calls = 0
        self.num_tokens = 0
        self.num_refused = 0

    @property
    def calls_last_hour(self) -> int:
        self._forget()
        return len(self._window)

    @property
    def tokens_last_hour(self) -> int:
        self._forget()
        return sum(spent.tokens for spent in self._window)

    def reserve(self, *, tokens: int, is_note: bool = False) -> Spent:
        """Raises: BudgetError, in words for the one who asked, with `wait_seconds`."""
        wait_seconds, key = self._note_wait(tokens) if is_note else self._wait(tokens)
        if wait_seconds > 0:
            self.num_refused += not is_note
            raise BudgetError(self._refusal(wait_seconds, key), wait_seconds=wait_seconds)
        now = self._clock()
        if is_note:
            self._last_note_seconds = now
        spent = Spent(now, tokens, is_note)
        self._window.append(spent)
        self.num_calls += 1
        self.num_tokens += tokens
        return spent

    def settle(self, spent: Spent, *, tokens: int) -> None:
        """What the call did cost."""
        self.num_tokens += tokens - spent.tokens
        spent.tokens = tokens

    def release(self, spent: Spent) -> None:
        """The call never reached the server."""
        self.settle(spent, tokens=0)
        self.num_calls -= 1
        if spent in self._window:
            self._window.remove(spent)

    def _forget(self) -> None:
        horizon = self._clock() - HOUR_SECONDS
        while self._window and self._window[0].at_seconds <= horizon:
            self._window.popleft()

    def _wait(self, tokens: int) -> tuple[float, str]:
        """Seconds until a call of `tokens` fits, and the limit that is in the way."""
        self._forget()
        limits = self.limits
        if tokens > limits.tokens_per_hour:
            return float("inf"), "tokens_per_hour"
        calls, used = len(self._window), sum(spent.tokens for spent in self._window)
        key, until = "", self._clock()
        for spent in self._window:
            if calls < limits.calls_per_hour and used + tokens <= limits.tokens_per_hour:
                break
            key = "calls_per_hour" if calls >= limits.calls_per_hour else "tokens_per_hour"
            calls, used, until = calls - 1, used - spent.tokens, spent.at_seconds + HOUR_SECONDS
        return max(0.0, until - self._clock()), key

    def _note_wait(self, tokens: int) -> tuple[float, str]:
        """Notes keep to their share, and are spread over the hour."""
        wait_seconds, key = self._wait(tokens)
        most_calls = int(self.limits.calls_per_hour * NOTES_SHARE)
        if most_calls < 1:
            return float("inf"), "calls_per_hour"
        notes = [spent for spent in self._window if spent.is_note]
        if len(notes) >= most_calls:
            wait_seconds = max(wait_seconds, notes[0].at_seconds + HOUR_SECONDS - self._clock())
            key = key or "calls_per_hour"
        if sum(spent.tokens for spent in notes) + tokens > self.limits.tokens_per_hour * NOTES_SHARE:
            first = notes[0].at_seconds if notes else self._clock()
            wait_seconds, key = max(wait_seconds, first + HOUR_SECONDS - self._clock()), key or "tokens_per_hour"
        if self._last_note_seconds is not None:
            next_seconds = self._last_note_seconds + HOUR_SECONDS / most_calls
            wait_seconds = max(wait_seconds, next_seconds - self._clock())
        return wait_seconds, key

    def _refusal(self, wait_seconds: float, key: str) -> str:
        limit = self.limits.calls_per_hour if key == "calls_per_hour" else self.limits.tokens_per_hour
        what = f"{limit:,} {'calls' if key == 'calls_per_hour' else 'tokens'}"
        if wait_seconds == float("inf"):
            return f"one question would cost more than an hour's budget of {what}; raise model_budget.{key}"
        when = f"{wait_seconds:.0f} s" if wait_seconds < 120 else f"{wait_seconds / 60:.0f} min"
        return f"this hour's budget of {what} is used up; ask again in {when}, or raise model_budget.{key}"
