"""The list of events says the same as the state at every moment."""

from collections import Counter
from datetime import datetime

import pytest

from streamer.yard.events import SAME_COMING_SECONDS, Event, comings
from streamer.yard.light import midnight_seconds
from streamer.yard.world import World

MIDNIGHT = datetime(2026, 6, 1).timestamp()
DAY_SECONDS = 86_400


def _said(events, time_seconds):
    return Counter(
        (event.kind, event.colour) for event in events if event.start_seconds <= time_seconds < event.end_seconds
    )


def _seen(state):
    seen = Counter((thing.kind, thing.colour) for thing in state.things)
    if state.gate_open:
        seen["gate", "open"] += 1
    if state.lamp_on:
        seen["lamp", "on"] += 1
    return seen


@pytest.mark.parametrize("seed", range(6))
def test_events_and_states_agree_all_day_and_over_midnight(seed):
    world = World(seed)
    events = world.events(MIDNIGHT - 7200, MIDNIGHT + DAY_SECONDS + 7200)
    for step in range(-700, 9300):
        time_seconds = MIDNIGHT + step * 10 + 0.3
        assert _said(events, time_seconds) == _seen(world.state_at(time_seconds)), time_seconds


@pytest.mark.parametrize("seed", range(3))
def test_something_changes_at_each_end_of_an_event_and_nowhere_else(seed):
    world = World(seed)
    events = world.events(MIDNIGHT + 32_400, MIDNIGHT + 54_000)
    assert len(events) > 60
    for event in events:
        for edge, change in ((event.start_seconds, 1), (event.end_seconds, -1)):
            before, after = _seen(world.state_at(edge - 1e-3)), _seen(world.state_at(edge + 1e-3))
            key = event.kind, event.colour
            swapped = any(
                (other.kind, other.colour) == key and edge in (other.start_seconds, other.end_seconds)
                for other in events
                if other is not event
            )
            assert swapped or after[key] - before[key] == change


def test_no_lane_ever_holds_two_things():
    for seed in range(20):
        until: dict[str, float] = {}
        for event in World(seed).events(MIDNIGHT, MIDNIGHT + 3 * DAY_SECONDS):
            assert until.get(event.lane, 0.0) <= event.start_seconds, event
            until[event.lane] = event.end_seconds


def test_a_part_of_the_time_gives_the_events_that_overlap_it_with_their_whole_spans():
    world = World(4)
    whole = world.events(MIDNIGHT, MIDNIGHT + DAY_SECONDS)
    since, until = MIDNIGHT + 40_000, MIDNIGHT + 41_800
    expected = [event for event in whole if event.start_seconds < until and event.end_seconds > since]
    assert expected
    assert world.events(since, until) == expected


def test_the_nights_car_is_one_event_over_midnight():
    events = [
        event
        for seed in range(10)
        for event in World(seed).events(MIDNIGHT - 60, MIDNIGHT + 60)
        if event.lane == "driveway"
    ]
    assert 5 <= len(events) <= 10
    for event in events:
        assert event.start_seconds < MIDNIGHT - 3 * 3600
        assert event.end_seconds > MIDNIGHT + 6 * 3600


def test_who_walks_from_the_path_to_the_door_came_once_and_who_returns_later_twice():
    def person(lane, start, end):
        return Event("person", "red", lane, start, end)

    once = [person("path", 0, 10), person("door", 10, 30), Event("gate", "open", "gate", 0, 12)]
    assert [(coming.start_seconds, coming.end_seconds) for coming in comings(once)] == [(0, 30)]
    assert len(comings([*once, person("path", 31 + SAME_COMING_SECONDS, 70)])) == 2


def test_a_rare_thing_comes_without_a_colour():
    (coming,) = comings([Event("climber", "red", "fence top", 0, 20)])
    assert coming.named == ("climber", "")


def test_the_days_of_clock_changes_have_no_seam():
    assert midnight_seconds(739_000 + 1) - midnight_seconds(739_000) in (82_800, 86_400, 90_000)
