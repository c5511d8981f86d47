"""Times as people write them."""

from datetime import datetime

import pytest

from streamer.times import parse_moment, parse_time

NOW = datetime(2026, 11, 22, 9, 0, 0).timestamp()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("8:59", datetime(2026, 11, 22, 8, 59)),
        ("09:00", datetime(2026, 11, 22, 9, 0)),
        ("14:05", datetime(2026, 11, 21, 14, 5)),
        ("14:05:30", datetime(2026, 11, 21, 14, 5, 30)),
        ("2026-11-20 14:05", datetime(2026, 11, 20, 14, 5)),
        ("2026-11-20T14:05:07", datetime(2026, 11, 20, 14, 5, 7)),
        ("2026-11-20", datetime(2026, 11, 20)),
        (" 2h ", datetime(2026, 11, 22, 7, 0)),
        ("90 min ago", datetime(2026, 11, 22, 7, 30)),
        ("30m", datetime(2026, 11, 22, 8, 30)),
        ("1.5d", datetime(2026, 11, 20, 21, 0)),
        ("45s", datetime(2026, 11, 22, 8, 59, 15)),
    ],
)
def test_what_is_typed_is_a_time(text, meant):
    assert parse_time(text, now_seconds=NOW) == meant.timestamp()


def test_seconds_since_1970_are_taken_as_they_are():
    assert parse_time("1795350000.5", now_seconds=NOW) == 1795350000.5


@pytest.mark.parametrize("text", ["", "noon", "25:00", "12:61", "2026-13-01", "5", "3 weeks", "14.05"])
def test_what_is_no_time_fails_with_what_can_be_written(text):
    with pytest.raises(ValueError, match=r"is no time; write 14:05, "):
        parse_time(text, now_seconds=NOW)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59", "0001-01-02", "1900-01-01", "9999999999h", "9" * 400 + "h"])
def test_what_no_camera_can_have_seen_fails(text):
    with pytest.raises(ValueError, match=r"is no time"):
        parse_time(text, now_seconds=NOW)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("8:58", datetime(2026, 11, 22, 8, 58, 59)),
        ("2026-11-20 14:05", datetime(2026, 11, 20, 14, 5, 59)),
        ("2026-11-20T14:05", datetime(2026, 11, 20, 14, 5, 59)),
        ("9:00", datetime(2026, 11, 22, 9, 0, 0)),  # as far as it has gone
        ("14:05:07", datetime(2026, 11, 21, 14, 5, 7)),
        ("2026-11-20 14:05:07", datetime(2026, 11, 20, 14, 5, 7)),
        ("2026-11-20", datetime(2026, 11, 20)),
        ("2h", datetime(2026, 11, 22, 7, 0)),
    ],
)
def test_a_moment_told_to_the_minute_is_all_of_that_minute(text, meant):
    assert parse_moment(text, now_seconds=NOW) == meant.timestamp()


def test_a_moment_with_a_zone_is_all_of_its_minute_too():
    moment = datetime.fromisoformat("2026-11-20T14:05:59+00:00").timestamp()
    assert parse_moment("2026-11-20T14:05Z", now_seconds=NOW) == moment
    assert parse_moment("2026-11-20T15:05+01:00", now_seconds=NOW) == moment


def test_no_moment_fails_as_no_time():
    with pytest.raises(ValueError, match=r"is no time; write 14:05, "):
        parse_moment("noon", now_seconds=NOW)
