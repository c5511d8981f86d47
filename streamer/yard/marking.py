"""Marks answers against the truth; it forgives only what no memory of sampled frames can know."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streamer.yard.answers import facts_in, named_in
from streamer.yard.past import YardQuestion

TOLERANCE_MINUTES = 1
"""A time is told in whole minutes from a slot's first sampled frame, which may lie in the minute after the event's."""
TOLERANCE_SECONDS = 10.0
"""A length in seconds is rounded to tens, and both of its ends are known to a sampled frame."""
TOLERANCE_SHARE = 0.1
"""Where memory has merged, the ends of something long are known to within a slot."""

_CLOCK = re.compile(r"\b([01]\d|2[0-3]):([0-5]\d)\b")
_SPAN = re.compile(r"from [\d:]{8} to [\d:]{8}, (\d+) (second|minute)s?", re.IGNORECASE)
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class SummaryScore:
    """How many of the true facts (what came, when) were told, and how many of the told ones are not true."""

    num_true: int
    num_found: int
    num_made_up: int


def is_right(question: YardQuestion, answer: str) -> bool:
    """Whether `answer` says what is true, word for word but for times within the tolerance and the order of a list."""
    answer = answer.strip()
    return any(_says(true, answer, question.klass) for true in (question.answer, *question.also_right))


def score_summary(question: YardQuestion, answer: str) -> SummaryScore:
    """A told fact is found where kind, colour and, within the tolerance, the minute are those of one true fact."""
    true, told = facts_in(question.answer), facts_in(answer)
    left = list(told)
    num_found = 0
    for name, minute in true:
        match = next((fact for fact in left if fact[0] == name and _near(fact[1], minute)), None)
        if match is not None:
            left.remove(match)
            num_found += 1
    num_without_time = named_in(answer).total() - len(told)
    return SummaryScore(len(true), num_found, len(left) + num_without_time)


def _says(true: str, answer: str, klass: str) -> bool:
    if answer == true:
        return True
    if klass == "summary" and facts_in(true):
        score = score_summary(YardQuestion("", klass, true, 0.0), answer)
        return score.num_found == score.num_true and not score.num_made_up and _form(answer) == _form(true)
    if klass == "recent" and not true.startswith(("Yes", "No")):
        return named_in(answer) == named_in(true) and _form(answer) == _form(true)
    meant = _SPAN.fullmatch(true.rstrip("."))
    if meant is not None:
        told = _SPAN.fullmatch(answer.rstrip("."))
        return told is not None and _same_length(told, meant) and _same_times(answer, true)
    return _CLOCK.sub("", answer) == _CLOCK.sub("", true) and _same_times(answer, true)


def _form(answer: str) -> str:
    """What is left of a list when its things and times are taken out."""
    words = re.sub(r"\b(an?|in|on|the|fence|person|fallen|smoke)\b", "", _CLOCK.sub("", answer), flags=re.IGNORECASE)
    return re.sub(r"\b(red|blue|yellow|white|black|green|brown|dog|car|truck|bicycle|parcel)\b|\s+", "", words)


def _same_times(answer: str, true: str) -> bool:
    times, true_times = _clocks(answer), _clocks(true)
    return len(times) == len(true_times) and all(map(_near, times, true_times))


def _clocks(text: str) -> list[int]:
    return [int(hour) * 60 + int(minute) for hour, minute in _CLOCK.findall(text)]


def _near(minute: int, other: int) -> bool:
    apart = abs(minute - other) % _DAY_MINUTES
    return min(apart, _DAY_MINUTES - apart) <= TOLERANCE_MINUTES


def _same_length(told: re.Match[str], meant: re.Match[str]) -> bool:
    told_seconds, meant_seconds = _seconds(told), _seconds(meant)
    in_minutes = "minute" in (told[2].lower(), meant[2].lower())
    allowed = max(60.0 if in_minutes else TOLERANCE_SECONDS, TOLERANCE_SHARE * meant_seconds)
    return abs(told_seconds - meant_seconds) <= allowed


def _seconds(length: re.Match[str]) -> float:
    return float(length[1]) * (60 if length[2].lower() == "minute" else 1)
