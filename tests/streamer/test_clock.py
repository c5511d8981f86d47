"""Times never go back, bursts are not shown as new, files run on start + pts, pauses between tries are bounded."""

import itertools
import time

import pytest

from streamer.backoff import Backoff
from streamer.clock import LiveClock, PacedClock, SteadyClock, WallClock, wall_seconds
from streamer.rate import RateMeter

START = 1_700_000_000.0


def shown(arrivals: list[tuple[float, float | None]], *, trusts_pts: bool = True) -> list[float | None]:
    """For (arrival, pts) since the start: the times given, since the start."""
    clock = LiveClock(trusts_pts=trusts_pts)
    times = [clock.time_of(arrival_seconds=START + at, pts_seconds=pts) for at, pts in arrivals]
    return [None if time is None else round(time - START, 3) for time in times]


def test_a_steady_stream_has_its_arrival_times() -> None:
    assert shown([(index / 10, 7 + index / 10) for index in range(5)]) == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_the_backlog_of_a_new_connection_is_not_shown_as_new() -> None:
    backlog = [(index * 0.005, index / 10) for index in range(20)]
    steady = [(0.2 + index / 10, 2 + index / 10) for index in range(10)]

    times = shown(backlog + steady)

    assert times[0] == 0.0
    assert times[1:20] == [None] * 19
    assert times[21:] == [pytest.approx(0.2 + index / 10, abs=0.02) for index in range(1, 10)]


def test_frames_after_a_short_stall_get_the_times_they_were_made() -> None:
    steady = [(index / 10, index / 10) for index in range(50)]
    burst = [(6.0 + index * 0.001, 5 + index / 10) for index in range(10)]

    times = shown(steady + burst)

    assert times[50:] == [pytest.approx(5 + index / 10, abs=0.2) for index in range(10)]


def test_the_burst_after_a_long_stall_is_left_out_until_it_is_recent() -> None:
    steady = [(index / 10, index / 10) for index in range(50)]
    burst = [(15.0 + index * 0.001, 5 + index / 10) for index in range(100)]

    times = shown(steady + burst)

    assert times[50:129] == [None] * 79
    assert times[-1] == pytest.approx(14.9, abs=0.3)


def test_stamps_that_jump_are_tied_anew() -> None:
    times = shown(
        [(index / 10, index / 10) for index in range(50)] + [(5 + index / 10, index / 10) for index in range(30)]
    )

    assert times[-1] == pytest.approx(7.9, abs=0.05)
    assert times[50:].count(None) <= 11


def test_stamps_that_run_slow_are_given_up_and_times_stay_recent() -> None:
    times = shown([(index / 10, index / 25) for index in range(600)])

    assert times[-300:] == [pytest.approx(30 + index / 10) for index in range(300)]
    assert all(index / 10 - time <= 2.01 for index, time in enumerate(times) if time is not None)


def test_times_grow_whatever_the_stamps_say() -> None:
    times = [time for time in shown([(index / 10, (index * 7 % 5) / 10) for index in range(300)]) if time is not None]

    assert len(times) > 100
    assert all(earlier < later for earlier, later in itertools.pairwise(times))


def test_without_stamps_the_arrival_counts_once() -> None:
    assert shown([(0.0, None), (0.1, None), (0.1, None)], trusts_pts=False) == [0.0, 0.1, None]


def test_the_first_pictures_are_left_out_until_one_had_to_be_waited_for() -> None:
    clock = LiveClock(trusts_pts=True)
    read = [(0.000, 0.0, 0.0), (0.001, 0.1, 0.0), (0.002, 0.2, 0.0), (0.090, 0.3, 0.088), (0.190, 0.4, 0.1)]

    times = [clock.time_of(arrival_seconds=at, pts_seconds=pts, waited_seconds=waited) for at, pts, waited in read]

    assert times == [None, None, None, 0.09, 0.19]


def test_a_camera_that_is_never_waited_for_is_shown_after_a_second() -> None:
    clock = LiveClock(trusts_pts=False)

    times = [clock.time_of(arrival_seconds=at / 10, pts_seconds=None, waited_seconds=0.0) for at in range(13)]

    assert times[:10] == [None] * 10
    assert times[10:] == [1.0, 1.1, 1.2]


def test_who_drowns_in_old_packets_is_never_told_that_they_are_new() -> None:
    clock = LiveClock(trusts_pts=True)
    at_edge = [clock.time_of(arrival_seconds=n / 10, pts_seconds=n / 10, waited_seconds=0.09) for n in range(20)]
    drowning = [
        clock.time_of(arrival_seconds=2 + n / 5, pts_seconds=2 + n / 10, waited_seconds=0.0) for n in range(100)
    ]

    assert None not in at_edge
    ages = [2 + n / 5 - time for n, time in enumerate(drowning) if time is not None]
    assert max(ages) <= 2.01
    assert drowning[-50:] == [None] * 50
    assert clock.is_drowning

    clock.skip(arrival_seconds=22.0, pts_seconds=21.9, waited_seconds=0.0)
    assert not clock.is_drowning
    caught_up = clock.time_of(arrival_seconds=22.1, pts_seconds=22.0, waited_seconds=0.09)
    assert caught_up == pytest.approx(22.0, abs=0.2)


def test_pictures_that_are_known_to_be_old_keep_their_own_times() -> None:
    clock = LiveClock(trusts_pts=True)
    for index in range(20):
        clock.time_of(arrival_seconds=index / 10, pts_seconds=7 + index / 10)

    old = [clock.past_time_of(arrival_seconds=6.0, pts_seconds=9 + index / 10) for index in range(3)]

    assert old == [pytest.approx(2.0), pytest.approx(2.1), pytest.approx(2.2)]
    assert clock.past_time_of(arrival_seconds=6.0, pts_seconds=9.1) is None


def test_the_wall_clock_never_goes_back() -> None:
    clock = WallClock()
    before = clock.seconds_at(system_seconds=START, monotonic_seconds=50.0)
    set_back = clock.seconds_at(system_seconds=START - 3600, monotonic_seconds=52.0)
    later = clock.seconds_at(system_seconds=START + 10, monotonic_seconds=60.0)

    assert (before, set_back, later) == (START, START + 1, START + 10)
    assert wall_seconds() <= wall_seconds()


def test_a_moment_ago_is_earlier_also_while_the_clock_catches_up() -> None:
    clock, now = WallClock(), time.monotonic()
    clock.seconds_at(system_seconds=time.time() + 3600, monotonic_seconds=now)

    times = [clock.seconds_when(now - ago) for ago in (0.5, 0.2, 0.0)]

    assert times == sorted(times)
    assert times[2] - times[0] == pytest.approx(0.25, abs=0.05)


def test_moments_that_belong_together_keep_their_order_while_the_system_clock_jumps() -> None:
    clock, now = WallClock(), time.monotonic()
    wall_of = clock.of_moments()
    earlier = wall_of(now - 0.5)
    clock.seconds_at(system_seconds=time.time() + 3600, monotonic_seconds=time.monotonic())

    assert wall_of(now) - earlier == pytest.approx(0.5)


def test_a_steady_clock_knows_no_system_clock() -> None:
    clock = SteadyClock(START)

    assert clock.seconds_at(system_seconds=0.0, monotonic_seconds=5.0) == START + 5
    assert clock.seconds() == pytest.approx(START + time.monotonic(), abs=0.1)


def test_a_file_runs_on_start_plus_its_own_time() -> None:
    clock = PacedClock(START, step_seconds=0.1)

    times = [clock.time_of(pts_seconds=pts) for pts in (1.4, 1.5, None, 1.7, 0.0, 0.5)]

    assert [round(time - START, 3) for time in times] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.9]


def test_pauses_double_up_to_the_cap_with_jitter_and_start_again() -> None:
    backoff = Backoff(first_seconds=1, cap_seconds=60)
    pauses = [backoff.next_seconds() for _ in range(10)]

    assert all(
        full / 2 <= pause <= full for pause, full in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60], strict=True)
    )
    backoff.reset()
    assert backoff.next_seconds() <= 1
    assert 15 <= backoff.next_seconds(at_least_seconds=30) <= 30


def test_a_rate_needs_two_events_and_is_bounded() -> None:
    meter = RateMeter()
    assert (meter.per_second, meter.silent_seconds) == (0.0, None)
    for _ in range(1000):
        meter.count()

    assert meter.num_events == 1000
    assert meter.per_second > 0
    assert meter.silent_seconds is not None
    assert len(meter._times) <= 64


def test_the_usual_step_is_not_that_of_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    meter, now_seconds = RateMeter(), 100.0
    monkeypatch.setattr("streamer.rate.time.monotonic", lambda: now_seconds)
    assert meter.usual_seconds == 0
    for step_seconds in (0, 6, 6, 300, 6, 7):
        now_seconds += step_seconds
        meter.count()
    assert meter.usual_seconds == 6
    now_seconds += 1000
    assert meter.usual_seconds == 6
