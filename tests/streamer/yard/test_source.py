"""The yard as a camera."""

import threading
import time
from itertools import islice

import numpy as np
import pytest

from streamer.clock import wall_seconds
from streamer.errors import CameraError
from streamer.yard.render import render
from streamer.yard.source import YardSource
from streamer.yard.world import World


def _open(url, *, start_seconds=1_000_000.0, quit=None):
    return YardSource.from_url(url, start_seconds=start_seconds, quit=quit or threading.Event())


def test_at_speed_1_it_is_live_on_the_wall_clock_at_10_frames_per_second():
    with _open("demo://yard?seed=7&speed=1") as source:
        assert source.live
        began = wall_seconds()
        times = [picture.time_seconds for picture in islice(source, 8)]
    assert np.allclose(np.diff(times), 0.1)
    assert abs(times[0] - began) < 0.2
    assert 0.6 < wall_seconds() - began < 2.0


def test_a_slow_reader_of_the_live_yard_misses_pictures_instead_of_falling_behind():
    with _open("demo://yard") as source:
        pictures = iter(source)
        next(pictures)
        time.sleep(0.55)
        assert wall_seconds() - next(pictures).time_seconds < 0.2


def test_at_another_speed_it_is_paced_from_its_start_and_misses_nothing():
    with _open("demo://yard?seed=7&speed=10000", start_seconds=5000.0) as source:
        assert not source.live
        times = [picture.time_seconds for picture in islice(source, 100)]
    assert times == pytest.approx([5000 + index / 10 for index in range(100)])


def test_speed_is_a_ceiling():
    with _open("demo://yard?speed=4") as source:
        began = time.monotonic()
        list(islice(source, 21))
    assert time.monotonic() - began >= 0.49


def test_the_picture_is_the_world_at_its_time():
    with _open("demo://yard?seed=3&speed=100") as source:
        picture = next(iter(source))
    assert np.array_equal(picture.rgb(), render(World(3).state_at(picture.time_seconds)))


def test_quitting_ends_it_at_once():
    quit = threading.Event()
    with _open("demo://yard?speed=0.01", quit=quit) as source:
        pictures = iter(source)
        next(pictures)
        threading.Timer(0.1, quit.set).start()
        began = time.monotonic()
        assert next(pictures, None) is None
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("demo://garden", "has one place, the yard"),
        ("demo://yard?sped=2", "does not know sped"),
        ("demo://yard?seed=x", "must be numbers"),
        ("demo://yard?seed=-1", "seed must be 0 or more"),
        ("demo://yard?speed=0", "speed above 0"),
        ("demo://yard?speed=nan", "speed above 0"),
        ("demo://yard?speed=20000", "at most 10000"),
    ],
)
def test_a_wrong_address_fails_with_what_was_expected(url, message):
    with pytest.raises(CameraError, match=message) as failure:
        _open(url)
    assert failure.value.code == "unsupported"
    assert "demo://yard?seed=7&speed=1" in str(failure.value)
