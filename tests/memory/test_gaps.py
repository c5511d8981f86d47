"""A gap log joins what touches, keeps the newest, and stays within its bound."""

import math

import pytest

from memory import Gap, GapLog


def test_gaps_come_back_in_order_of_time() -> None:
    log = GapLog(2)
    log.add(1, 30.0, 40.0)
    log.add(1, 10.0, 20.0)
    assert log.between(1, -math.inf, math.inf) == (Gap(10.0, 20.0), Gap(30.0, 40.0))
    assert log.between(0, -math.inf, math.inf) == ()


def test_gaps_that_touch_or_overlap_are_one() -> None:
    log = GapLog(1)
    for start, end in [(10, 20), (40, 50), (20, 25), (44, 46), (60, 70), (24, 61), (80, 80)]:
        log.add(0, start, end)
    assert log.between(0, 0, 100) == (Gap(10, 70), Gap(80, 80))


@pytest.mark.parametrize(
    ("start", "end", "found"), [(0, 9, 0), (0, 10, 1), (15, 15, 1), (20, 29, 1), (21, 29, 0), (0, 99, 2)]
)
def test_a_gap_is_found_when_it_shares_a_moment_with_the_span(start: float, end: float, found: int) -> None:
    log = GapLog(1)
    log.add(0, 10, 20)
    log.add(0, 30, 40)
    assert len(log.between(0, start, end)) == found


def test_the_oldest_gaps_are_forgotten() -> None:
    log = GapLog(1, capacity=3)
    for start in range(0, 1000, 10):
        log.add(0, start, start + 1)
    assert log.between(0, 0, 2000) == (Gap(970, 971), Gap(980, 981), Gap(990, 991))


@pytest.mark.parametrize(("start", "end"), [(2.0, 1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_a_span_that_is_none_fails(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="a gap"):
        GapLog(1).add(0, start, end)


def test_an_unknown_camera_or_size_fails() -> None:
    with pytest.raises(ValueError, match=r"camera in 0..1, received 2"):
        GapLog(2).add(2, 0, 1)
    with pytest.raises(ValueError, match="at least 1"):
        GapLog(2, capacity=0)
