"""A day has rules: how much happens, when, and what follows from what."""

from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest

from streamer.yard.day import plan_day
from streamer.yard.events import comings
from streamer.yard.light import day_of, daylight
from streamer.yard.world import RARE_KINDS, World

MIDNIGHT = datetime(2026, 6, 1).timestamp()
SEEDS = range(40)


def _per_hour(hours):
    num = Counter()
    for seed in SEEDS:
        for hour in hours:
            start = MIDNIGHT + hour * 3600
            events = World(seed).events(start, start + 3600)
            num["comings"] += sum(coming.start_seconds >= start for coming in comings(events))
            num["gate"] += sum(event.kind == "gate" and event.start_seconds >= start for event in events)
    return {name: count / (len(SEEDS) * len(hours)) for name, count in num.items()}


def test_by_day_10_to_18_things_happen_in_an_hour_and_by_night_hardly_any():
    by_day, by_night = _per_hour(range(9, 18)), _per_hour((23, 0, 1, 2, 3, 4))
    assert 10 <= by_day["comings"] + by_day["gate"] <= 18
    assert 1.5 <= by_day["gate"] <= 4
    assert by_night["comings"] < 2


@pytest.mark.parametrize(("hours", "least"), [(range(9, 18), 0.8), (range(1, 5), 0.98)])
def test_mostly_it_is_still(hours, least):
    still = num = 0
    for seed in range(6):
        before = None
        for hour in hours:
            for offset in range(0, 3600, 5):
                state = World(seed).state_at(MIDNIGHT + hour * 3600 + offset)
                picture = [(thing.kind, round(thing.x)) for thing in state.things], state.gate_open, state.lamp_on
                still += picture == before
                num += 1
                before = picture
    assert still / num >= least


def test_few_things_are_in_the_picture_at_once():
    counts = [
        len(World(seed).state_at(MIDNIGHT + 9 * 3600 + step * 30).things) for seed in range(10) for step in range(1080)
    ]
    assert sum(counts) / len(counts) < 1.3
    assert sum(count >= 4 for count in counts) / len(counts) < 0.02


def test_visits_last_from_8_seconds_to_some_minutes_except_what_is_parked_lies_or_leans():
    for seed in SEEDS:
        for event in World(seed).events(MIDNIGHT, MIDNIGHT + 86_400):
            length_seconds = event.end_seconds - event.start_seconds
            assert length_seconds >= 8
            if event.lane not in ("driveway", "fence", "step", "bench", "gate", "lamp"):
                assert length_seconds <= 500


def test_rare_things_are_seen_in_a_few_per_cent_of_hours():
    hours, rare, kinds = 0, 0, Counter()
    for seed in range(60):
        for hour in range(24):
            start = MIDNIGHT + hour * 3600
            seen = {event.kind for event in World(seed).events(start, start + 3600)} & set(RARE_KINDS)
            kinds.update(seen)
            hours += 1
            rare += bool(seen)
    assert set(kinds) == set(RARE_KINDS)
    assert 0.01 <= rare / hours <= 0.06


def test_a_parcel_lies_until_somebody_at_the_door_takes_it_in():
    num = 0
    for seed in SEEDS:
        events = World(seed).events(MIDNIGHT, MIDNIGHT + 86_400)
        at_door = [event for event in events if event.lane == "door"]
        for parcel in (event for event in events if event.kind == "parcel"):
            num += 1
            assert 240 <= parcel.end_seconds - parcel.start_seconds <= 4 * 3600 + 1
            for edge in (parcel.start_seconds, parcel.end_seconds):
                assert any(person.start_seconds < edge < person.end_seconds for person in at_door)
    assert num > 50


def test_whoever_walks_the_path_finds_the_gate_open():
    for seed in SEEDS:
        plan = plan_day(seed, day_of(MIDNIGHT))
        for visit in plan.visits["path"]:
            for time_seconds in (visit.start_seconds, visit.end_seconds - 0.1):
                assert plan.gate_open_at(time_seconds)


def test_the_gate_is_mostly_closed_soon_and_sometimes_left_open_for_long():
    lengths = [
        span.end_seconds - span.start_seconds for seed in SEEDS for span in plan_day(seed, day_of(MIDNIGHT)).gate
    ]
    soon = sum(length < 120 for length in lengths) / len(lengths)
    assert 0.6 < soon < 0.9
    assert sum(length > 600 for length in lengths) > 20


def test_the_lamp_is_on_in_the_evening_and_after_midnight_only_when_somebody_comes():
    num_later = 0
    for seed in SEEDS:
        plan = plan_day(seed, day_of(MIDNIGHT))
        assert all(plan.lamp_on_at(MIDNIGHT + hour * 3600) for hour in (20, 21, 22, 23))
        for span in plan.lamp:
            if daylight(span.start_seconds) < 0.5 and span.start_seconds < MIDNIGHT + 12 * 3600:
                num_later += 1
                assert any(
                    abs(visit.start_seconds + 1 - span.start_seconds) < 0.01
                    for lane in ("path", "door")
                    for visit in plan.visits[lane]
                )
    assert num_later > 3


def test_a_bicycle_that_falls_lies_where_it_leaned():
    falls = 0
    for seed in range(100):
        visits = plan_day(seed, day_of(MIDNIGHT)).visits["fence"]
        for before, after in pairwise(visits):
            if after.kind == "fallen bicycle":
                falls += 1
                assert (before.kind, before.colour, before.end_seconds) == (
                    "bicycle",
                    after.colour,
                    after.start_seconds,
                )
    assert falls > 5


@pytest.mark.parametrize("hour", [3, 12, 22])
def test_a_lively_yard_has_something_to_see_at_any_hour(hour: int) -> None:
    start = MIDNIGHT + hour * 3600
    counts = [len(comings(World(seed, lively=True).events(start, start + 3600))) for seed in range(12)]
    assert 18 < sum(counts) / len(counts) < 60
    assert min(counts) >= 8
