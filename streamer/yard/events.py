"""The yard's truth as a list: what was there from when to when, and what counts as one coming."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streamer.yard.things import named

SAME_COMING_SECONDS = 25.0
"""A person who walks from the path to the door, or a car from the street to the driveway, came once."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing in one lane, the gate open (kind "gate", colour "open") or the lamp on ("lamp", "on").

    It holds from `start_seconds` up to, not at, `end_seconds`; both may lie outside of the span that was asked for.
    """

    kind: str
    colour: str
    lane: str
    start_seconds: float
    end_seconds: float

    @property
    def named(self) -> tuple[str, str]:
        return named(self.kind, self.colour)


@dataclass(frozen=True, slots=True)
class Coming:
    """A thing of one kind and colour in the picture without a longer break, in whichever lanes."""

    kind: str
    colour: str
    start_seconds: float
    end_seconds: float

    @property
    def named(self) -> tuple[str, str]:
        return self.kind, self.colour


def comings(events: Iterable[Event]) -> list[Coming]:
    """The comings of all things in `events`, by start; gate and lamp do not come."""
    open_ones: dict[tuple[str, str], Coming] = {}
    found: list[Coming] = []
    for event in sorted(events, key=lambda event: event.start_seconds):
        if event.kind in ("gate", "lamp"):
            continue
        before = open_ones.get(event.named)
        if before is not None and event.start_seconds <= before.end_seconds + SAME_COMING_SECONDS:
            end_seconds = max(before.end_seconds, event.end_seconds)
            open_ones[event.named] = Coming(*event.named, before.start_seconds, end_seconds)
            continue
        if before is not None:
            found.append(before)
        open_ones[event.named] = Coming(*event.named, event.start_seconds, event.end_seconds)
    return sorted([*found, *open_ones.values()], key=lambda coming: (coming.start_seconds, coming.named))
