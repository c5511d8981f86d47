"""The yard's truth: who and what is there at any moment, a pure function of seed and time; it draws nothing."""

from __future__ import annotations

from streamer.yard.day import plan_day
from streamer.yard.events import Event
from streamer.yard.light import day_of, daylight
from streamer.yard.places import place
from streamer.yard.things import COLOUR_NAMES, COLOURS, HEIGHT, KINDS, PAINTS, RARE_KINDS, WIDTH, Thing, YardState
from streamer.yard.visits import LANES

__all__ = [
    "COLOURS",
    "COLOUR_NAMES",
    "FRAMES_PER_SECOND",
    "HEIGHT",
    "KINDS",
    "LANES",
    "PAINTS",
    "RARE_KINDS",
    "WIDTH",
    "Event",
    "Thing",
    "World",
    "YardState",
]

FRAMES_PER_SECOND = 10


class World:
    """A yard that is wholly given by `seed`: `state_at` needs no history, so any moment costs the same.

    lively  there comes as much as otherwise in the busiest hours and more, by night too: for who has no hour to wait
    """

    def __init__(self, seed: int, *, lively: bool = False) -> None:
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.seed = seed
        self.lively = lively

    def state_at(self, time_seconds: float) -> YardState:
        """The truth at `time_seconds` (UTC epoch; the hour of the day is the local clock's)."""
        plan = plan_day(self.seed, day_of(time_seconds), lively=self.lively)
        return YardState(
            time_seconds=time_seconds,
            things=tuple(place(visit, time_seconds) for visit in plan.visits_at(time_seconds)),
            gate_open=plan.gate_open_at(time_seconds),
            lamp_on=plan.lamp_on_at(time_seconds),
            daylight=daylight(time_seconds),
        )

    def events(self, since_seconds: float, until_seconds: float) -> list[Event]:
        """All that holds at some moment of [since, until), by start, with its whole span."""
        days = range(day_of(since_seconds), day_of(until_seconds) + 1)
        overlapping = {  # a set: two days hold the car that stays the night between them
            event
            for day in days
            for event in plan_day(self.seed, day, lively=self.lively).events
            if event.start_seconds < until_seconds and event.end_seconds > since_seconds
        }
        return sorted(overlapping, key=lambda event: (event.start_seconds, event.lane))
