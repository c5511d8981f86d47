"""The picture shows the state and nothing else."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from streamer.yard.render import PAINT, render
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
