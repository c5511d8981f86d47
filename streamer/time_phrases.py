"""Times in the words of a question ("yesterday at three", "between 9 and 10", "last night") as a span; English only.

Clock times are the camera's own, daylight saving included; "two hours ago" is two hours by any clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from streamer.times import Span, end_of_minute

_NUMBERS = {
    word: number
    for number, words in enumerate(
        ("", "one a an", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    )
    for word in words.split()
}
_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PARTS = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 23), "night": (22, 30)}
"""Hours of a day; a night goes on into the next one."""
_ABOUT_SECONDS = 300.0
""""Around three" is up to so long after it too."""
_AFTERNOON_HOURS = range(1, 7)
""""At three" is in the afternoon; who means the night says so, or writes 03:00."""

_COUNT = rf"(?P<count>\d+(?:\.\d+)?|half an?|{'|'.join(_NUMBERS)})"
_UNIT = r"(?P<unit>second|minute|hour|day|week)s?"
_HOUR = rf"\d{{1,2}}(?::\d{{2}})?|noon|midnight|{'|'.join(word for word in _NUMBERS if word not in ('a', 'an'))}"
_CLOCK = rf"(?:{_HOUR})(?:\s*o'?clock)?(?:\s*[ap]\.?m\b\.?)?"
_END = rf"(?=\s*(?:$|[?.,!;]|at night|on |in the |last |this |the day |yesterday|today|tonight|{'|'.join(_WEEKDAYS)}))"
"""What may stand behind a clock time: "after two" is one, "after two cars" is none."""
_AGO = re.compile(rf"\b(?:about |around )?{_COUNT} {_UNIT} ago\b")
_LAST = re.compile(rf"\b(?:in|within|over|during|for) the (?:last|past) (?:{_COUNT} )?{_UNIT}\b")
_BETWEEN = re.compile(rf"\b(?:between|from) (?P<first>{_CLOCK}) (?:and|to|until|till) (?P<last>{_CLOCK}){_END}")
_SINCE = re.compile(rf"\b(?P<how>since|after|before|until|till) (?P<clock>{_CLOCK}){_END}")
_AT = re.compile(rf"\b(?:at|(?P<about>around|about)) (?P<clock>{_CLOCK}){_END}")
_DAY = re.compile(
    r"\b(?:on )?(?P<day>the day before yesterday|yesterday|today|tonight|"
    rf"(?:last )?(?:{'|'.join(_WEEKDAYS)}))(?:(?:'s)? (?P<part>morning|afternoon|evening|night))?\b"
)
_THIS = re.compile(r"\b(?:(?P<last>last night)|this (?P<part>morning|afternoon|evening))\b")


class Asked(NamedTuple):
    """A question without the time in it that only holds now, and the span it is about."""

    question: str
    span: Span


@dataclass(frozen=True)
class _Clock:
    """A time of day as it was said; `is_sure` where it can be no other half of the day."""

    hour: int
    minute: int
    is_sure: bool

    def on(self, day: date, zone: tzinfo | None) -> float:
        """In UTC seconds."""
        moment = datetime(day.year, day.month, day.day, self.hour % 24, self.minute, tzinfo=zone)
        return (moment + timedelta(days=self.hour // 24)).timestamp()


def find_span(question: str, *, now_seconds: float, zone: tzinfo | None = None) -> Asked | None:
    """What a question says of when; None where it says nothing that is understood.

    zone  the camera's time zone; None: this machine's
    """
    said = question.lower()
    now = datetime.fromtimestamp(now_seconds, zone)
    for find in (_ago, _last, _clocks, _days):
        found = find(said, now)
        if found is not None:
            span, gone = found
            return Asked(_without(question, gone), span)
    return None


_Found = tuple[Span, list[tuple[int, int]]]
"""A span, and the places in the question that only hold now."""


def _ago(said: str, now: datetime) -> _Found | None:
    if (found := _AGO.search(said)) is None:
        return None
    return Span(now.timestamp() - _count(found["count"]) * _UNITS[found["unit"]]), [found.span()]


def _last(said: str, now: datetime) -> _Found | None:
    if (found := _LAST.search(said)) is None:
        return None
    seconds = _count(found["count"] or "one") * _UNITS[found["unit"]]
    return Span(now.timestamp(), now.timestamp() - seconds), []


def _clocks(said: str, now: datetime) -> _Found | None:
    """A clock time or two, on the day that is named; else the last that have been."""
    named = _DAY.search(said) or _THIS.search(said)
    gone = [named.span()] if named else []
    if found := _BETWEEN.search(said):
        first, last = _clock(found["first"]), _clock(found["last"])
        if first is None or last is None:
            return None
        last = _later(last, first)
        day = _day_of(named, now) if named else _last_day(last, now)
        return Span(last.on(day, now.tzinfo), first.on(day, now.tzinfo)), gone
    if found := _SINCE.search(said):
        clock = _clock(found["clock"])
        if clock is None:
            return None
        day = _day_of(named, now) if named else _last_day(clock, now)
        return _open_span(found["how"], clock.on(day, now.tzinfo), _day_span(day, now), now), gone
    if found := _AT.search(said):
        clock = _clock(found["clock"])
        if clock is None:
            return None
        part = named["part"] or ("night" if named.groupdict().get("last") else None) if named else None
        day = _day_of(named, now) if named else _last_day(clock, now)
        clock = _in_part(clock, part)
        at_seconds = clock.on(day, now.tzinfo)
        if at_seconds > now.timestamp() and not clock.is_sure:  # "today at three", asked at noon
            at_seconds -= 12 * _UNITS["hour"]
        if found["about"]:
            return Span(max(at_seconds, min(at_seconds + _ABOUT_SECONDS, now.timestamp()))), [*gone, found.span()]
        return Span(end_of_minute(at_seconds, now.timestamp())), [*gone, found.span()]
    return None


def _days(said: str, now: datetime) -> _Found | None:
    """A day, or a part of one, without a clock time."""
    if found := _THIS.search(said):
        day, part = (now.date() - timedelta(days=1), "night") if found["last"] else (now.date(), found["part"])
    elif found := _DAY.search(said):
        day, part = _day_of(found, now), found["part"] or ("evening" if found["day"] == "tonight" else None)
    else:
        return None
    first, last = _PARTS[part] if part else (0, 24)
    since, until = (_Clock(hour, 0, is_sure=True).on(day, now.tzinfo) for hour in (first, last))
    until = min(until, now.timestamp())
    return None if until <= since else (Span(until, since), [found.span()])


def _day_of(named: re.Match[str], now: datetime) -> date:
    today = now.date()
    day = named.groupdict().get("day")
    if named.groupdict().get("last"):
        return today - timedelta(days=1)
    if day is None or day in ("today", "tonight"):
        return today
    if day.endswith("yesterday"):
        return today - timedelta(days=2 if day.startswith("the") else 1)
    back = (today.weekday() - _WEEKDAYS.index(day.removeprefix("last "))) % 7
    return today - timedelta(days=back or 7)


def _last_day(clock: _Clock, now: datetime) -> date:
    """The newest on which it has been."""
    today = now.date()
    return today if clock.on(today, now.tzinfo) <= now.timestamp() else today - timedelta(days=1)


def _day_span(day: date, now: datetime) -> tuple[float, float]:
    start = _Clock(0, 0, is_sure=True)
    return start.on(day, now.tzinfo), min(start.on(day + timedelta(days=1), now.tzinfo), now.timestamp())


def _open_span(how: str, clock_seconds: float, day: tuple[float, float], now: datetime) -> Span:
    if how in ("since", "after"):
        return Span(max(day[1], clock_seconds + 1.0) if how == "after" else now.timestamp(), clock_seconds)
    return Span(clock_seconds, min(day[0], clock_seconds - 1.0))


def _count(said: str) -> float:
    if said.startswith("half"):
        return 0.5
    return float(_NUMBERS.get(said) or said)


def _clock(said: str) -> _Clock | None:
    """None where it is no time of day."""
    words = said.replace("o'clock", "").replace("oclock", "").replace(".", "").strip()
    if words in ("noon", "midnight"):
        return _Clock(12 if words == "noon" else 24, 0, is_sure=True)
    half = words[-2:] if words[-2:] in ("am", "pm") else ""
    hour, _, minute = words.removesuffix(half).strip().partition(":")
    number = _NUMBERS.get(hour) or (int(hour) if hour.isdigit() else -1)
    if not 0 <= number <= (12 if half else 23) or not 0 <= int(minute or 0) <= 59:
        return None
    if half:
        return _Clock(number % 12 + (12 if half == "pm" else 0), int(minute or 0), is_sure=True)
    is_sure = len(hour) == 2 and hour.isdigit()
    is_afternoon = not is_sure and number in _AFTERNOON_HOURS
    return _Clock(number + 12 * is_afternoon, int(minute or 0), is_sure=is_sure)


def _later(last: _Clock, first: _Clock) -> _Clock:
    """The end of a span is after its beginning: "between 11 and 2", "between 22:00 and 6:00"."""
    if (last.hour, last.minute) > (first.hour, first.minute):
        return last
    ahead = 12 if not last.is_sure and last.hour + 12 > first.hour else 24
    return _Clock(last.hour + ahead, last.minute, is_sure=True)


def _in_part(clock: _Clock, part: str | None) -> _Clock:
    """ "Yesterday morning at six", "last night at two"."""
    if clock.is_sure or part is None:
        return clock
    hour = clock.hour % 12
    first, last = _PARTS[part]
    return next(
        (_Clock(each, clock.minute, is_sure=True) for each in (hour, hour + 12, hour + 24) if first <= each < last),
        clock,
    )


def _without(question: str, gone: list[tuple[int, int]]) -> str:
    for start, stop in sorted(gone, reverse=True):
        question = question[:start] + question[stop:]
    question = re.sub(r"\s+([?.!,])", r"\1", re.sub(r"\s+", " ", question)).strip(" ,")
    return question[:1].upper() + question[1:]
