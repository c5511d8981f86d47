"""The picture shows the state and nothing else."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from streamer.yard.brushes import PAINT
from streamer.yard.places import place
from streamer.yard.render import render
from streamer.yard.visits import Visit
from streamer.yard.world import COLOURS, KINDS, Thing, YardState

NOON = datetime(2026, 6, 1, 12).timestamp()
EMPTY = YardState(NOON, (), gate_open=False, lamp_on=False, daylight=1.0)


def _thing(kind, colour):
    return Thing(kind, colour, 330.0, 330.0, 1.0, 0, 0.0, 0)


def test_a_picture_is_640_by_360_rgb_and_the_same_each_time():
    picture = render(EMPTY)
    assert picture.shape == (360, 640, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, render(EMPTY))


@pytest.mark.parametrize(("kind", "colour"), [(kind, colour) for kind in KINDS for colour in COLOURS[kind]])
def test_each_thing_changes_the_picture_where_it_stands_and_shows_its_colour(kind, colour):
    picture = render(replace(EMPTY, things=(_thing(kind, colour),)))
    changed = np.argwhere((picture != render(EMPTY)).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert 220 <= top < bottom <= 345
    assert 230 <= left < right <= 430
    is_paint = (np.abs(picture.astype(int) - PAINT[colour]).max(axis=2) <= 12).sum()
    assert is_paint > 150


@pytest.mark.parametrize("change", [{"gate_open": True}, {"lamp_on": True}, {"daylight": 0.0}])
def test_gate_lamp_and_night_can_be_seen(change):
    difference = np.abs(render(replace(EMPTY, **change)).astype(int) - render(EMPTY)).max(axis=2)
    assert (difference > 40).sum() > 100


def test_the_clock_is_burnt_in_and_moves():
    difference = (render(EMPTY) != render(replace(EMPTY, time_seconds=NOON + 1))).any(axis=2)
    places = np.argwhere(difference)
    assert len(places) > 5
    assert places[:, 0].max() < 26
    assert places[:, 1].min() > 440


def test_colours_can_still_be_told_apart_at_night():
    pictures = [
        render(replace(EMPTY, daylight=0.0, things=(_thing("car", colour),))).astype(int) for colour in COLOURS["car"]
    ]
    for one in range(len(pictures)):
        for other in range(one):
            assert (np.abs(pictures[one] - pictures[other]).max(axis=2) > 20).sum() > 500


@pytest.mark.parametrize(
    ("lane", "kind", "colour", "num_changed"),
    [
        ("fence", "fallen bicycle", "red", 1500),
        ("fence top", "climber", "black", 1500),
        ("smoke", "smoke", "", 3000),
    ],
)
@pytest.mark.parametrize("night", [False, True])
def test_rare_things_are_plainly_visible_by_day_and_by_night(lane, kind, colour, num_changed, night):
    empty = replace(EMPTY, daylight=0.0 if night else 1.0)
    for route in ((0.1, 0.1), (0.9, 0.5), (0.4, 0.9)):
        thing = place(Visit(lane, kind, colour, NOON - 30, NOON + 60, "", route, 5), NOON)
        difference = np.abs(render(replace(empty, things=(thing,))).astype(int) - render(empty)).max(axis=2)
        assert (difference > 20).sum() > num_changed


def test_a_fallen_bicycle_does_not_look_like_one_that_leans():
    pictures = [
        render(replace(EMPTY, things=(place(Visit("fence", kind, "red", NOON - 30, NOON + 60), NOON),)))
        for kind in ("bicycle", "fallen bicycle")
    ]
    assert (np.abs(pictures[0].astype(int) - pictures[1]).max(axis=2) > 40).sum() > 1500


def test_smoke_rises():
    visit = Visit("smoke", "smoke", "", NOON - 60, NOON + 60)
    pictures = [render(replace(EMPTY, things=(place(visit, NOON + later),))) for later in (0, 1)]
    assert (np.abs(pictures[0].astype(int) - pictures[1])[30:110].max(axis=2) > 10).sum() > 100


def test_what_the_first_checkpoint_learned_to_see_is_drawn_as_then():
    things = tuple(
        Thing(kind, colour, 60.0 + 100 * place, 300.0, 1.0, 1, 1.0, 5)
        for place, (kind, colour) in enumerate(
            zip(KINDS, ("red", "brown", "blue", "green", "black", "white"), strict=True)
        )
    )
    state = YardState(0.0, things, gate_open=True, lamp_on=True, daylight=0.4)
    picture = render(state)
    boxes = [picture[230:310, 20 + 100 * place : 100 + 100 * place].mean(axis=(0, 1)) for place in range(6)]
    expected = [[95, 85, 75], [76, 74, 75], [43, 68, 91], [25, 77, 49], [54, 63, 61], [114, 117, 130]]
    assert np.allclose(boxes, expected, atol=1.5)  # OpenCV's edges may differ a little
