"""What a memory of [since, now] can know of a world: what came, what was there, and what its edges leave unsure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from streamer.yard.events import SAME_COMING_SECONDS, Coming, Event, comings
from streamer.yard.present import COUSINS
from streamer.yard.things import COLOURS, KINDS, RARE_KINDS
from streamer.yard.world import World

EDGE_SECONDS = 5.0
"""What begins within so long of the start of memory may have been there before it."""
SETTLED_SECONDS = 3.0
"""What begins within so long before now may not have been sampled yet."""
LEAST_SECONDS = 5.0
"""What is seen for less is not asked about."""

_Happening = TypeVar("_Happening", Coming, Event)
Asked = tuple[str, str]
"""(kind, colour) that a question is about; a colour of "" stands for any."""
NAMED: tuple[Asked, ...] = (
    *((kind, colour) for kind in KINDS for colour in COLOURS[kind]),
    *((kind, "") for kind in RARE_KINDS),
)
"""What a thing can be called by."""
ALL_ASKED: tuple[Asked, ...] = (*((kind, "") for kind in KINDS), *NAMED)


@dataclass(frozen=True)
class Watched:
    """The truth of one span as memory can know it."""

    since_seconds: float
    now_seconds: float
    there: tuple[Coming, ...]
    """All that was in the picture at some moment, by start."""
    gate: tuple[Event, ...]
    doubtful: frozenset[Coming] = frozenset()
    """Those of `there` that are not sure for another reason than the edges of memory."""

    @cached_property
    def came(self) -> tuple[Coming, ...]:
        """Those whose beginning memory has."""
        return tuple(coming for coming in self.there if self._is_sure(coming))

    @cached_property
    def unsure(self) -> tuple[Coming, ...]:
        """Those that begin at an edge, so that it cannot be told whether they came."""
        early = self.since_seconds - EDGE_SECONDS
        return tuple(coming for coming in self.there if coming.start_seconds > early and not self._is_sure(coming))

    def _is_sure(self, coming: Coming | Event) -> bool:
        return (
            coming not in self.doubtful
            and self.since_seconds + EDGE_SECONDS <= coming.start_seconds <= self.now_seconds - SETTLED_SECONDS
            and self.seen_seconds(coming) >= LEAST_SECONDS
        )

    def seen_seconds(self, coming: Coming | Event) -> float:
        """How long it was there until now."""
        return min(coming.end_seconds, self.now_seconds) - coming.start_seconds

    def age_seconds(self, coming: Coming | Event) -> float:
        return self.now_seconds - coming.start_seconds

    def known(self, asked: Asked) -> list[Coming] | None:
        """Every coming of what is asked, or None where that is not plain: it was there before, or its cousin came."""
        cousin = COUSINS.get(asked[0])
        matching = [coming for coming in self.there if is_of(coming, asked) or coming.kind == cousin]
        if any(coming.kind == cousin or not self._is_sure(coming) for coming in matching):
            return None
        return matching

    def last_gate(self) -> Event | None:
        """The last opening, if memory has its beginning."""
        if not self.gate or not self._is_sure(self.gate[-1]):
            return None
        return self.gate[-1]

    def later(self, seconds: float) -> Watched:
        """The same as if all of it had been `seconds` later."""

        def moved(each: _Happening) -> _Happening:
            return replace(each, start_seconds=each.start_seconds + seconds, end_seconds=each.end_seconds + seconds)

        return Watched(
            self.since_seconds + seconds,
            self.now_seconds + seconds,
            tuple(map(moved, self.there)),
            tuple(map(moved, self.gate)),
            frozenset(map(moved, self.doubtful)),
        )

    def part(self, since_seconds: float, until_seconds: float) -> Watched:
        """The same for a part of the span, asked about at the same now."""
        there = tuple(
            coming
            for coming in self.there
            if coming.end_seconds > since_seconds and coming.start_seconds < until_seconds
        )
        return Watched(since_seconds, until_seconds, there, (), self.doubtful)


def watch(world: World, since_seconds: float, now_seconds: float) -> Watched:
    """What a memory that covers [since, now] can know."""
    events = world.events(since_seconds - 4 * SAME_COMING_SECONDS, now_seconds)
    there = tuple(coming for coming in comings(events) if coming.end_seconds > since_seconds)
    gate = tuple(event for event in events if event.kind == "gate" and event.end_seconds > since_seconds)
    return Watched(since_seconds, now_seconds, there, gate)


def is_of(coming: Coming, asked: Asked) -> bool:
    kind, colour = asked
    return coming.kind == kind and (not colour or coming.colour == colour)
