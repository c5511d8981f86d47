"""The yard's truth is a pure function of seed and time."""

from collections import Counter
from datetime import datetime

import pytest

from streamer.yard.things import named
from streamer.yard.world import COLOURS, HEIGHT, KINDS, LANES, RARE_KINDS, WIDTH, World

NOON = datetime(2026, 6, 1, 12).timestamp()


def _hours(world: World, hours: float, step_seconds: float = 5.0):
    return [world.state_at(NOON + index * step_seconds) for index in range(int(hours * 3600 / step_seconds))]


def test_the_same_seed_and_time_give_the_same_state_in_any_order():
    times = [NOON + offset for offset in (0, 5000, -70, 86_400, 3)]
    forwards = [World(7).state_at(time) for time in times]
    backwards = [World(7).state_at(time) for time in reversed(times)]
    assert forwards == backwards[::-1]


def test_different_seeds_give_different_days():
    days = {tuple(state.things for state in _hours(World(seed), 0.5)) for seed in range(5)}
    assert len(days) == 5


def test_all_kinds_and_colours_come_by_and_stay_in_the_picture():
    seen = Counter()
    for seed in range(120):
        for state in _hours(World(seed), 9, step_seconds=60):
            for thing in state.things:
                seen[named(thing.kind, thing.colour)] += 1
                assert 0 <= thing.x <= WIDTH
                assert 0 <= thing.y <= HEIGHT
    assert set(seen) == {(kind, colour) for kind in KINDS for colour in COLOURS[kind]} | {
        (kind, "") for kind in RARE_KINDS
    }


def test_a_visit_is_one_unbroken_stay_of_one_thing():
    states = _hours(World(3), 2, step_seconds=1)
    stays = Counter()
    before = frozenset()
    for state in states:
        now = frozenset((thing.kind, thing.colour, thing.looks) for thing in state.things)
        stays.update(now - before)
        before = now
    assert stays
    assert max(stays.values()) == 1


def test_no_more_things_than_lanes():
    for state in _hours(World(11), 2):
        assert len(state.things) <= len(LANES)


def test_things_move_smoothly():
    world = World(5)
    for index in range(6000):
        now, later = world.state_at(NOON + index / 10), world.state_at(NOON + (index + 1) / 10)
        places = {(thing.kind, thing.looks): thing.x for thing in now.things}
        for thing in later.things:
            if (thing.kind, thing.looks) in places:
                assert abs(thing.x - places[thing.kind, thing.looks]) <= 8


@pytest.mark.parametrize(("hour", "is_night"), [(0, True), (5, True), (8, False), (12, False), (18, False), (21, True)])
def test_it_is_night_by_the_local_clock(hour, is_night):
    assert World(1).state_at(datetime(2026, 6, 1, hour).timestamp()).is_night is is_night


def test_the_gate_opens_and_closes_and_the_lamp_is_mostly_on_at_night():
    day = [state for seed in range(5) for state in _hours(World(seed), 24, step_seconds=97)]
    gate = Counter(state.gate_open for state in day)
    assert 0.03 < gate[True] / len(day) < 0.3
    lamp_at_night = [state.lamp_on for state in day if state.is_night]
    lamp_by_day = [state.lamp_on for state in day if not state.is_night]
    assert sum(lamp_at_night) / len(lamp_at_night) > 2 * sum(lamp_by_day) / len(lamp_by_day)


def test_a_negative_seed_fails():
    with pytest.raises(ValueError, match="0 or more, got -1"):
        World(-1)
