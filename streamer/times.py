"""A time as people write it on a command line, in their own time zone, to UTC seconds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)(?:\s+ago)?", re.IGNORECASE)
_EPOCH = re.compile(r"\d{9,11}(\.\d+)?")
_END_SECONDS = 1e11
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_TO_THE_MINUTE = re.compile(r"(?:.*[T ])?\d{1,2}:\d{2}(?:Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE)
REST_OF_MINUTE_SECONDS = 59.0
"""Who says 14:05 means all of that minute: what an answer tells of 14:05 may have come at its end."""
TIMES = '14:05, "2026-11-22 14:05", 2h (ago), or seconds since 1970'


@dataclass(frozen=True)
class Span:
    """What is asked about: what was kept from `since_seconds` on, seen from `until_seconds`.

    Raises: ValueError where it ends before it begins.
    """

    until_seconds: float
    since_seconds: float = -math.inf

    def __post_init__(self) -> None:
        if self.until_seconds <= self.since_seconds:
            raise ValueError("--until is before --since; a span ends after it begins")


def parse_time(text: str, *, now_seconds: float) -> float:
    """A clock time is the last one that has been: at 9:00, "14:05" is yesterday's.

    Raises: ValueError, one line that says what can be written.
    """
    try:
        seconds = _parsed(text.strip(), now_seconds)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no time; write {TIMES}") from error
    if not 0 <= seconds < _END_SECONDS:
        raise ValueError(f"{text!r} is no time that a camera can have seen; write {TIMES}")
    return seconds


def _parsed(typed: str, now_seconds: float) -> float:
    if ago := _AGO.fullmatch(typed):
        return now_seconds - float(ago[1]) * _UNITS[ago[2].lower()]
    if _EPOCH.fullmatch(typed):
        return float(typed)
    if _CLOCK.fullmatch(typed):
        return _last(typed, now_seconds)
    return datetime.fromisoformat(typed).timestamp()


def parse_moment(text: str, *, now_seconds: float) -> float:
    """A time at which something is asked for: to the minute, it is the end of that minute, or now within it.

    Raises: ValueError, one line that says what can be written.
    """
    seconds = parse_time(text, now_seconds=now_seconds)
    if not _TO_THE_MINUTE.fullmatch(text.strip()):
        return seconds
    return end_of_minute(seconds, now_seconds)


def end_of_minute(start_seconds: float, now_seconds: float) -> float:
    return max(start_seconds, min(start_seconds + REST_OF_MINUTE_SECONDS, now_seconds))


def _last(clock: str, now_seconds: float) -> float:
    now = datetime.fromtimestamp(now_seconds)
    hour, minute, *second = (int(part) for part in clock.split(":"))
    today = now.replace(hour=hour, minute=minute, second=second[0] if second else 0, microsecond=0)
    return (today if today.timestamp() <= now_seconds else today - timedelta(days=1)).timestamp()
