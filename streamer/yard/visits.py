"""A visit is one stay of one thing in one lane; a lane is a place that holds at most one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass

LANES = ("street", "driveway", "path", "lawn", "door", "dog", "fence", "step", "bench", "fence top", "smoke")


@dataclass(frozen=True, slots=True)
class Visit:
    """One thing in one lane from `start_seconds` to `end_seconds`."""

    lane: str
    kind: str
    colour: str
    start_seconds: float
    end_seconds: float
    manner: str = ""
    """How it moves, where its lane knows more than one way: pass, stop, stroll, in, out, mow."""
    route: tuple[float, float] = (0.0, 0.0)
    """The free choices of its way, each in [0, 1)."""
    looks: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of time in which something is on or open."""

    start_seconds: float
    end_seconds: float

    def holds(self, time_seconds: float) -> bool:
        return self.start_seconds <= time_seconds < self.end_seconds


def merged(spans: list[Span], *, gap_seconds: float = 0.0) -> list[Span]:
    """The same time in as few spans as possible, in order; gaps of at most `gap_seconds` are closed."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start_seconds <= joined[-1].end_seconds + gap_seconds:
            joined[-1] = Span(joined[-1].start_seconds, max(joined[-1].end_seconds, span.end_seconds))
        else:
            joined.append(span)
    return joined
