"""A day while it is being written: stories are entered whole or not at all, so no lane ever holds two things."""

from __future__ import annotations

from bisect import bisect, insort

from streamer.yard.visits import LANES, Span, Visit

BETWEEN_SECONDS = 4.0
"""A lane is empty at least so long between two things, unless one becomes the other."""


class Diary:
    """What a day holds so far: visits by lane, and when people pass the gate."""

    def __init__(self, bounds: Span) -> None:
        self.bounds = bounds
        self.visits: dict[str, list[Visit]] = {lane: [] for lane in LANES}
        self.passages: list[Span] = []
        self._taken: dict[str, list[Span]] = {lane: [] for lane in LANES}

    def enter(self, *visits: Visit, passages: tuple[Span, ...] = ()) -> bool:
        """True and all entered, or False and none, where a lane is taken or the day too short."""
        if any(
            visit.start_seconds < self.bounds.start_seconds or visit.end_seconds > self.bounds.end_seconds
            for visit in visits
        ):
            return False
        if not all(self.is_free(visit.lane, visit.start_seconds, visit.end_seconds) for visit in visits):
            return False
        self.put(*visits)
        self.passages.extend(passages)
        return True

    def put(self, *visits: Visit) -> None:
        """Enter what is known to fit; it may reach beyond the day."""
        for visit in visits:
            self.visits[visit.lane].append(visit)
            insort(self._taken[visit.lane], Span(visit.start_seconds, visit.end_seconds))

    def is_free(self, lane: str, start_seconds: float, end_seconds: float) -> bool:
        taken = self._taken[lane]
        place = bisect(taken, Span(end_seconds + BETWEEN_SECONDS, 0.0))
        return place == 0 or taken[place - 1].end_seconds + BETWEEN_SECONDS <= start_seconds
