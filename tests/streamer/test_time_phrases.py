"""What people say of when, by a camera's own clock."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from streamer.time_phrases import find_span

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 25, 14, 0, tzinfo=ZONE)  # a Wednesday
REST = timedelta(seconds=59)  # who says 15:03 means all of that minute


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, tzinfo=ZONE) + timedelta(hours=hour, minutes=minute)


def found(question: str, now: datetime = NOW):
    return find_span(question, now_seconds=now.timestamp(), zone=ZONE)


@pytest.mark.parametrize(
    ("question", "rest", "then"),
    [
        ("Was the gate open an hour ago?", "Was the gate open?", at(25, 13)),
        ("What was there about 20 minutes ago?", "What was there?", at(25, 13, 40)),
        ("Half an hour ago, was a car there?", "Was a car there?", at(25, 13, 30)),
        ("Was it open two days ago", "Was it open", at(23, 14)),
        ("Was the gate open yesterday at three?", "Was the gate open?", at(24, 15) + REST),
        ("Yesterday at 03:00, was the lamp on?", "Was the lamp on?", at(24, 3) + REST),
        ("Was the lamp on at 9?", "Was the lamp on?", at(25, 9) + REST),
        ("Was the lamp on at 9 pm?", "Was the lamp on?", at(24, 21) + REST),
        ("Was the lamp on at 15:03?", "Was the lamp on?", at(24, 15, 3) + REST),
        ("Was the lamp on at noon?", "Was the lamp on?", at(25, 12) + REST),
        ("Was the lamp on at midnight?", "Was the lamp on?", at(25, 0) + REST),
        ("Who was there on Monday at eight o'clock?", "Who was there?", at(23, 8) + REST),
        ("Who was there last night at two?", "Who was there?", at(25, 2) + REST),
        ("Who was there yesterday evening at eight?", "Who was there?", at(24, 20) + REST),
        ("Who was there this morning at six?", "Who was there?", at(25, 6) + REST),
        ("Who was there today at three?", "Who was there?", at(25, 3) + REST),
        ("Who was there the day before yesterday at 7:30 a.m.?", "Who was there?", at(23, 7, 30) + REST),
        ("Who was there around three yesterday?", "Who was there?", at(24, 15, 5)),
        ("Was a car there about 13:58?", "Was a car there?", NOW),
        ("Was a car there at 14:00?", "Was a car there?", NOW),
    ],
)
def test_a_moment_is_found_and_what_only_holds_now_goes(question, rest, then):
    asked = found(question)
    assert asked is not None
    assert asked.question == rest
    assert asked.span.until_seconds == then.timestamp()
    assert asked.span.since_seconds == float("-inf")


@pytest.mark.parametrize(
    ("question", "rest", "since", "until"),
    [
        ("What came between 9 and 10?", "What came between 9 and 10?", at(25, 9), at(25, 10)),
        ("What came from 22:00 to 6:00?", "What came from 22:00 to 6:00?", at(24, 22), at(25, 6)),
        ("What came between 11 and 2 yesterday?", "What came between 11 and 2?", at(24, 11), at(24, 14)),
        ("Did a dog come between noon and 1 pm?", "Did a dog come between noon and 1 pm?", at(25, 12), at(25, 13)),
        ("What came since noon?", "What came since noon?", at(25, 12), at(25, 14)),
        ("What came after 9 yesterday?", "What came after 9?", at(24, 9), at(25, 0)),
        ("What came before 9?", "What came before 9?", at(25, 0), at(25, 9)),
        ("Who came yesterday?", "Who came?", at(24, 0), at(25, 0)),
        ("Who came today?", "Who came?", at(25, 0), at(25, 14)),
        ("Who came last night?", "Who came?", at(24, 22), at(25, 6)),
        ("Who came this morning?", "Who came?", at(25, 6), at(25, 12)),
        ("Who came on Sunday afternoon?", "Who came?", at(22, 12), at(22, 18)),
        ("Who came last Wednesday?", "Who came?", at(18, 0), at(19, 0)),
        ("Who came in the last 2 hours?", "Who came in the last 2 hours?", at(25, 12), at(25, 14)),
        ("Who came within the past hour?", "Who came within the past hour?", at(25, 13), at(25, 14)),
    ],
)
def test_a_span_is_found(question, rest, since, until):
    asked = found(question)
    assert asked is not None
    assert asked.question == rest
    assert (asked.span.since_seconds, asked.span.until_seconds) == (since.timestamp(), until.timestamp())


@pytest.mark.parametrize(
    "question",
    [
        "Is the gate open?",
        "How many cars came?",
        "What came after two cars?",
        "Is there a car at the gate?",
        "What about one of them?",
        "Who was at 25:00?",
        "Who came this evening?",
        "",
    ],
)
def test_what_says_nothing_of_when_is_left_alone(question):
    """Nor is what has not been yet."""
    assert found(question) is None


def test_a_day_of_23_hours_is_one():
    asked = found("Who came yesterday?", datetime(2026, 3, 30, 12, 0, tzinfo=ZONE))
    assert asked.span.until_seconds - asked.span.since_seconds == 23 * 3600


def test_two_hours_ago_are_two_hours_by_any_clock():
    now = datetime(2026, 10, 25, 4, 0, tzinfo=ZONE)  # at three it was two once more
    asked = found("Was it open 2 hours ago?", now)
    assert now.timestamp() - asked.span.until_seconds == 7200
    half_past_one_seconds = now.timestamp() - 3.5 * 3600
    assert found("Was it open at 01:30?", now).span.until_seconds == half_past_one_seconds + REST.seconds
