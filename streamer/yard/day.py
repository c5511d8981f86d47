"""The plan of one day, drawn from the seed: who comes when, when the gate is open and the lamp on."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random

from streamer.yard.diary import Diary
from streamer.yard.events import Event
from streamer.yard.light import clock_seconds, midnight_seconds
from streamer.yard.stories import NUM_LOOKS, Household, Storyteller
from streamer.yard.switches import gate_spans, lamp_spans
from streamer.yard.things import COLOURS, PAINTS
from streamer.yard.visits import Span, Visit

AWAY_SHARE = 0.2
_LAST_SECONDS = 60.0
"""All stories end so long before midnight; only the night's car stays over it."""

_LIVELY_FACTOR = 3.0

Rates = tuple[tuple[int, float], ...]
"""(from this hour of the day, so many per hour)."""

_STREET: Rates = ((0, 0.3), (5, 1.0), (6, 3.0), (7, 6.0), (9, 4.8), (16, 6.5), (19, 4.0), (21, 2.0), (23, 0.6))
_DELIVERY: Rates = ((0, 0.0), (9, 0.6), (18, 0.15), (20, 0.0))
_VISITOR: Rates = ((0, 0.02), (9, 0.55), (21, 0.1))
_WALK: Rates = ((0, 0.04), (6, 0.3), (7, 0.45), (22, 0.1))
_CALLER: Rates = ((0, 0.0), (9, 0.4), (20, 0.0))
_GARDEN: Rates = ((0, 0.0), (9, 0.9), (20, 0.0))
_DOG: Rates = ((0, 0.0), (6, 0.9), (22, 0.2))
_ERRAND: Rates = ((0, 0.0), (9, 0.25), (16, 0.0))
_CLIMBER: Rates = ((0, 0.012), (6, 0.004), (20, 0.012))
_SMOKE: Rates = ((0, 0.002), (7, 0.012), (23, 0.002))


@dataclass(frozen=True)
class DayPlan:
    """A day's truth: visits by lane, each lane's in order, and the spans of gate and lamp."""

    visits: dict[str, tuple[Visit, ...]]
    gate: tuple[Span, ...]
    lamp: tuple[Span, ...]

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The same as a list."""
        things = [
            Event(visit.kind, visit.colour, visit.lane, visit.start_seconds, visit.end_seconds)
            for visits in self.visits.values()
            for visit in visits
        ]
        gate = [Event("gate", "open", "gate", span.start_seconds, span.end_seconds) for span in self.gate]
        lamp = [Event("lamp", "on", "lamp", span.start_seconds, span.end_seconds) for span in self.lamp]
        return (*things, *gate, *lamp)

    @cached_property
    def _starts(self) -> list[tuple[tuple[Visit, ...], list[float]]]:
        return [(visits, [visit.start_seconds for visit in visits]) for visits in self.visits.values()]

    def visits_at(self, time_seconds: float) -> Iterator[Visit]:
        """At most one per lane."""
        for visits, starts in self._starts:
            place = bisect(starts, time_seconds) - 1
            if place >= 0 and time_seconds < visits[place].end_seconds:
                yield visits[place]

    def gate_open_at(self, time_seconds: float) -> bool:
        return any(span.holds(time_seconds) for span in self.gate)

    def lamp_on_at(self, time_seconds: float) -> bool:
        return any(span.holds(time_seconds) for span in self.lamp)


@lru_cache(maxsize=128)
def plan_day(seed: int, day: int, *, lively: bool = False) -> DayPlan:
    """The plan of the local day number `day`; any two of a seed agree about the car that stays the night between.

    lively  see `World`
    """
    rng = Random(f"{seed} {day}")
    bounds = Span(midnight_seconds(day), midnight_seconds(day + 1))
    diary = Diary(Span(bounds.start_seconds, bounds.end_seconds - _LAST_SECONDS))
    teller = Storyteller(rng, diary, _household(seed, day))
    before, after = _night_car(seed, day - 1), _night_car(seed, day)
    for car, tell_of in ((before, teller.leaving), (after, teller.homecoming)):
        if car is not None:
            diary.put(car)
            tell_of(car)
    for tell, rates in (
        (teller.errand, _ERRAND),
        (teller.delivery, _DELIVERY),
        (teller.visitor, _VISITOR),
        (teller.walk, _WALK),
        (teller.climber, _CLIMBER),
        (teller.smoke, _SMOKE),
        (teller.garden, _GARDEN),
        (teller.dog, _DOG),
        (teller.caller, _CALLER),
        (teller.passing, _STREET),
    ):
        for time_seconds in _moments(rng, bounds, _at_all_hours(rates) if lively else rates):
            tell(time_seconds)
    visits = {lane: tuple(sorted(held, key=lambda visit: visit.start_seconds)) for lane, held in diary.visits.items()}
    people = [visit for lane in ("path", "door") for visit in visits[lane]]
    return DayPlan(
        visits=visits,
        gate=gate_spans(rng, diary.passages, bounds, latest_seconds=clock_seconds(day, 22.7)),
        lamp=lamp_spans(rng, people, bounds, day),
    )


def _at_all_hours(rates: Rates) -> Rates:
    return ((0, _LIVELY_FACTOR * max(rate for _, rate in rates)),)


def _moments(rng: Random, bounds: Span, rates: Rates) -> Iterator[float]:
    """A Poisson process whose rate changes with the hour."""
    highest = max(rate for _, rate in rates)
    time_seconds = bounds.start_seconds
    while True:
        time_seconds += rng.expovariate(highest / 3600)
        if time_seconds >= bounds.end_seconds:
            return
        hour = (time_seconds - bounds.start_seconds) / 3600
        rate = next(rate for start, rate in reversed(rates) if hour >= start)
        if rng.random() * highest < rate:
            yield time_seconds


def _household(seed: int, day: int) -> Household:
    always, today = Random(f"{seed} household"), Random(f"{seed} {day} household")
    cars = always.sample(PAINTS, 2)
    dog = always.choice(COLOURS["dog"])
    looks = (always.randrange(NUM_LOOKS), always.randrange(NUM_LOOKS))
    shirts = today.sample(PAINTS, 2)
    return Household(cars[0], cars[1], dog, (shirts[0], shirts[1]), looks)


def _night_car(seed: int, day: int) -> Visit | None:
    """The car that comes home on `day` and leaves on the morning after; some nights it is away."""
    rng, morning = Random(f"{seed} {day} night car"), Random(f"{seed} {day + 1} morning")
    if rng.random() < AWAY_SHARE:
        return None
    return Visit(
        lane="driveway",
        kind="car",
        colour=_household(seed, day).night_car,
        start_seconds=clock_seconds(day, rng.uniform(16.5, 21.0)),
        end_seconds=clock_seconds(day + 1, morning.uniform(6.7, 9.0)),
        route=(rng.random(), 0.0),
        looks=rng.randrange(65_536),
    )
