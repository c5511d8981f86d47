"""The truth through slots: times are the slots', what none of them shows is in doubt."""

import pytest

from memory import EvidenceSlot
from streamer.yard.events import Coming, Event
from streamer.yard.shown import NUM_ASKED, shown
from streamer.yard.watched import ALL_ASKED, Watched

NOON = 1_795_262_400.0
CAR, ANY_CAR, GATE = ALL_ASKED.index(("car", "red")), ALL_ASKED.index(("car", "")), NUM_ASKED - 1


def _slots(*spans):
    return [EvidenceSlot("long_term", NOON + start, NOON + end, 1, "", n) for n, (start, end) in enumerate(spans)]


def _watched(*comings, gate=(), now=600.0):
    there = tuple(Coming(kind, colour, NOON + start, NOON + end) for kind, colour, start, end in comings)
    opened = tuple(Event("gate", "open", "gate", NOON + start, NOON + end) for start, end in gate)
    return Watched(NOON, NOON + now, there, opened)


def test_a_coming_lasts_from_the_first_slot_that_shows_it_to_the_first_that_does_not():
    seen = shown(_watched(("car", "red", 62, 118)), _slots((0, 59), (60, 90), (90, 120), (121, 600)))
    (car,) = seen.watched.came
    assert (car.start_seconds - NOON, car.end_seconds - NOON) == (60, 121)
    assert seen.present[:, CAR].tolist() == seen.present[:, ANY_CAR].tolist() == [False, True, True, False]
    assert seen.arrived[:, CAR].tolist() == [False, True, False, False]
    assert seen.left[:, CAR].tolist() == seen.left[:, ANY_CAR].tolist() == [False, False, False, True]
    assert seen.left.sum() == 2
    assert seen.present.sum() == 4
    assert seen.arrived.sum() == 2


def test_what_the_last_slot_shows_ends_with_it_unless_it_is_there_still():
    seen = shown(_watched(("car", "red", 62, 580), ("dog", "black", 61, 700)), _slots((0, 59), (60, 300), (300, 590)))
    ends = {coming.kind: coming.end_seconds - NOON for coming in seen.watched.came}
    assert ends == {"car": 590, "dog": 700}
    assert not seen.left.any()


def test_a_car_that_leaves_while_another_stays_leaves_no_yard_without_cars():
    seen = shown(
        _watched(("car", "red", 62, 118), ("car", "blue", 63, 500)), _slots((0, 59), (60, 120), (121, 480), (520, 600))
    )
    assert seen.left[:, CAR].tolist() == [False, False, True, False]
    assert seen.left[:, ANY_CAR].tolist() == [False, False, False, True]


def test_what_a_mean_has_swallowed_is_in_doubt():
    seen = shown(_watched(("car", "red", 62, 70)), _slots((0, 300), (300, 600)))
    assert not seen.watched.came
    assert seen.watched.unsure
    assert seen.watched.known(("car", "red")) is None
    assert not seen.present.any()


def test_what_seems_to_begin_at_quite_another_time_is_in_doubt():
    watched = _watched(("car", "red", 200, 290))
    assert not shown(watched, _slots((0, 300), (300, 600))).watched.came
    assert shown(watched, _slots((0, 180), (180, 300), (300, 600))).watched.came


def test_two_comings_with_no_slot_between_them_are_in_doubt():
    watched = _watched(("car", "red", 60, 120), ("car", "red", 180, 240))
    apart = shown(watched, _slots((0, 59), (60, 120), (121, 179), (180, 240), (241, 600)))
    assert len(apart.watched.known(("car", "red"))) == 2
    together = shown(watched, _slots((0, 59), (60, 170), (171, 240), (241, 600)))
    assert together.watched.known(("car", "red")) is None


def test_what_was_there_before_memory_did_not_come_in_it():
    seen = shown(_watched(("car", "red", -500, 900)), _slots((0, 300), (300, 600)))
    assert seen.present[:, CAR].all()
    assert not seen.arrived.any()
    assert seen.watched.there[0].start_seconds == NOON - 500


def test_the_gate_is_shown_as_things_are():
    seen = shown(_watched(gate=[(61, 118)]), _slots((0, 59), (60, 120), (121, 600)))
    assert seen.present[:, GATE].tolist() == [False, True, False]
    assert seen.arrived[:, GATE].tolist() == [False, True, False]
    assert seen.watched.last_gate().start_seconds == NOON + 60
    assert shown(_watched(gate=[(61, 65)]), _slots((0, 300), (300, 600))).watched.last_gate() is None


@pytest.mark.parametrize(("start", "end", "is_shown"), [(100.0, 100.5, True), (99.0, 100.0, False)])
def test_a_single_frame_shows_what_is_there_at_its_moment(start, end, is_shown):
    seen = shown(_watched(("smoke", "", start, end)), _slots((0, 99), (100, 100), (101, 600)))
    assert bool(seen.present[1].any()) is is_shown
