"""Questions about what came and went, with answers from what a memory can know."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamer.yard import wordings
from streamer.yard.answers import NOTHING_CAME, at_clock, from_to, listed, name_thing, name_with, sentence
from streamer.yard.events import Coming, Event
from streamer.yard.present import pick
from streamer.yard.things import RARE_KINDS
from streamer.yard.watched import ALL_ASKED, EDGE_SECONDS, Asked, Watched

VEHICLES = ("car", "truck")
RECENT_SECONDS = 60.0
LEAST_DURATION_SECONDS = 20.0
MOST_TIMES = 4
OFTEN = {1: "once", 2: "twice"}
ORDINALS = ("", "a 2nd ", "a 3rd ", "a 4th ")
MOST_FACTS = 6
"""A summary is asked of spans with at most so many comings."""
NOTHING_SHARE = 0.08
"""Of the chances to ask about a stretch in which nothing came, so many are taken."""
RARE_SHARE = 0.2
PAST_SHARES = {"did": 0.22, "when": 0.22, "often": 0.16, "first": 0.16, "last vehicle": 0.14, "gate": 0.10}
SPAN_MINUTES = (5, 10, 15, 20, 30, 45, 60, 90, 120)


class NothingToAsk(LookupError):  # noqa: N818
    """No fair question of the class at this moment: draw another moment."""


@dataclass(frozen=True)
class YardQuestion:
    """A question with its true answer; `age_seconds` is how long ago the evidence was that it takes.

    told_seconds  when each thing that the answer tells began, in its order; of a duration, its beginning and its end;
                  empty where it tells none
    """

    text: str
    klass: str
    answer: str
    age_seconds: float
    also_right: tuple[str, ...] = ()
    """Other true answers, where a question leaves open which of several comings it means."""
    told_seconds: tuple[float, ...] = ()


def draw_recent(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    """What came by in the last minute."""
    start_seconds = watched.now_seconds - RECENT_SECONDS
    if start_seconds < watched.since_seconds:
        raise NothingToAsk("memory covers less than the last minute")
    minute = watched.part(start_seconds, watched.now_seconds)
    if minute.unsure or (not minute.came and rng.random() >= NOTHING_SHARE):
        raise NothingToAsk("nothing, or nothing sure, came in the last minute")
    if rng.random() < 0.45:
        return _recent_did(minute, rng, held_out=held_out)
    text = pick(wordings.RECENT.of(held_out=held_out), rng)
    if not minute.came:
        return YardQuestion(text, "recent", NOTHING_CAME, RECENT_SECONDS)
    names = [name_thing(*coming.named) for coming in minute.came]
    age_seconds = minute.age_seconds(minute.came[0])
    return YardQuestion(text, "recent", sentence(listed(names)), age_seconds, told_seconds=_starts(minute.came))


def _recent_did(minute: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    template = pick(wordings.RECENT_DID.of(held_out=held_out), rng)
    came: Sequence[Coming] = ()
    if minute.came and rng.random() < 0.6:
        asked = _one(minute.came, rng).kind, ""
        came = minute.known(asked) or ()
        if not came:
            raise NothingToAsk("what came was there before")
        names = [name_thing(*coming.named) for coming in came]
        answer, age_seconds = f"Yes, {listed(names)}.", minute.age_seconds(came[0])
    else:
        asked = _absent(minute, rng, painted_share=0.0)
        answer, age_seconds = f"No, I saw {name_with('no', *asked)}.", RECENT_SECONDS
    text = template.format(a=name_thing(*asked))
    return YardQuestion(text, "recent", answer, age_seconds, told_seconds=_starts(came))


def draw_past(
    watched: Watched, rng: np.random.Generator, *, held_out: bool, shares: Mapping[str, float] = PAST_SHARES
) -> YardQuestion:
    """Did X come, when, how often, what came first, the last vehicle, when was the gate opened."""
    ways: dict[str, Callable[..., YardQuestion]] = {
        "did": _did,
        "when": _when,
        "often": _often,
        "first": _first,
        "last vehicle": _last_vehicle,
        "gate": _gate_when,
    }
    names = list(shares)
    for place in rng.choice(len(names), size=len(names), replace=False, p=list(shares.values())):
        try:
            return ways[names[int(place)]](watched, rng, held_out=held_out)
        except NothingToAsk:
            continue
    raise NothingToAsk("nothing came that could be asked about")


def _did(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    came = _known_ones(watched, _asked_of(_one(watched.came, rng), rng))
    text = pick(wordings.DID.of(held_out=held_out), rng).format(a=name_thing(*came[0]))
    answers = [f"Yes, {at_clock(coming.start_seconds)}." for coming in came[1]]
    first = came[1][0]
    return YardQuestion(
        text, "past", answers[0], watched.age_seconds(first), tuple(answers[1:]), told_seconds=_starts([first])
    )


def _when(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    asked, coming = _the_only(watched, watched.came, rng)
    text = _about(pick(wordings.WHEN.of(held_out=held_out), rng), asked)
    answer = sentence(at_clock(coming.start_seconds))
    return YardQuestion(text, "past", answer, watched.age_seconds(coming), told_seconds=_starts([coming]))


def _often(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    """All counts up to the highest that memory can keep are as likely, where the span has them."""
    by_count: dict[int, list[tuple[Asked, list[Coming]]]] = {}
    for asked in ALL_ASKED:
        came = watched.known(asked)
        if came and len(came) <= MOST_TIMES:
            by_count.setdefault(len(came), []).append((asked, came))
    if not by_count:
        raise NothingToAsk("nothing came that could be counted")
    counts = sorted(by_count)
    weights = np.array([0.5 if count == 1 else 1.0 for count in counts])
    count = counts[int(rng.choice(len(counts), p=weights / weights.sum()))]
    if counts == [1] and rng.random() < 0.5:
        raise NothingToAsk("nothing came twice")
    asked, came = by_count[count][int(rng.integers(len(by_count[count])))]
    text = pick(wordings.OFTEN.of(held_out=held_out), rng).format(a=name_thing(*asked))
    starts = _starts(came)
    answer, without_numbers = times_and_count(starts), _times_without_numbers(starts)
    return YardQuestion(text, "past", answer, watched.age_seconds(came[0]), (without_numbers,), told_seconds=starts)


def _first(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    painted = rng.random() < 0.5
    firsts = [
        (came[0], asked) for asked in ALL_ASKED if _is_painted(asked) == painted if (came := watched.known(asked))
    ]
    if len(firsts) < 2:
        raise NothingToAsk("fewer than two things came")
    one, other = (firsts[int(place)] for place in rng.choice(len(firsts), size=2, replace=False))
    if abs(one[0].start_seconds - other[0].start_seconds) < LEAST_DURATION_SECONDS:
        raise NothingToAsk("they came at nearly the same time")
    names = [name_with("the", *asked) for _, asked in (one, other)]
    text = pick(wordings.FIRST.of(held_out=held_out), rng).format(the=names[0], the_other=names[1])
    first, _ = min(one, other, key=lambda pair: pair[0].start_seconds)
    told_seconds = one[0].start_seconds, other[0].start_seconds
    answer = first_of_two((names[0], names[1]), told_seconds)
    return YardQuestion(text, "past", answer, watched.age_seconds(first), told_seconds=told_seconds)


def _last_vehicle(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    came = [coming for coming in watched.came if coming.kind in VEHICLES]
    if not came or any(coming.kind in VEHICLES for coming in watched.unsure):
        raise NothingToAsk("no vehicle came, or one at the edge of memory")
    if len(came) > 1 and came[-1].start_seconds - came[-2].start_seconds < LEAST_DURATION_SECONDS:
        raise NothingToAsk("two vehicles came at nearly the same time")
    text = pick(wordings.LAST_VEHICLE.of(held_out=held_out), rng)
    answer = sentence(f"{name_thing(*came[-1].named)} {at_clock(came[-1].start_seconds)}")
    return YardQuestion(text, "past", answer, watched.age_seconds(came[-1]), told_seconds=_starts(came[-1:]))


def _gate_when(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    gate = watched.last_gate()
    if gate is None:
        raise NothingToAsk("the gate was not opened")
    text = pick(wordings.GATE_WHEN.of(held_out=held_out), rng)
    answer = sentence(at_clock(gate.start_seconds))
    return YardQuestion(text, "past", answer, watched.age_seconds(gate), told_seconds=_starts([gate]))


def draw_duration(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    """How long was the gate open the last time, how long was X here; until now, if it still is."""
    gate = watched.last_gate()
    lasting = [coming for coming in watched.came if watched.seen_seconds(coming) >= LEAST_DURATION_SECONDS]
    if gate is not None and rng.random() < (0.7 if lasting else 1.0):
        event: Coming | Event = gate
        text = pick(wordings.GATE_LONG.of(held_out=held_out), rng)
    else:
        asked, event = _the_only(watched, lasting, rng)
        text = pick(wordings.LONG.of(held_out=held_out), rng).format(the=name_with("the", *asked))
    length_seconds = watched.seen_seconds(event)
    if length_seconds < LEAST_DURATION_SECONDS:
        raise NothingToAsk("it was too short to be measured")
    ended_seconds = min(event.end_seconds, watched.now_seconds)
    answer = sentence(from_to(event.start_seconds, ended_seconds))
    age_seconds = watched.now_seconds - ended_seconds
    return YardQuestion(text, "duration", answer, age_seconds, told_seconds=(event.start_seconds, ended_seconds))


def draw_never(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    """The questions about the past, about what was not there at all."""
    asked = _absent(watched, rng, painted_share=0.5)
    nothing = name_with("no", *asked)
    asks, answer = (
        (wordings.DID, f"No, I saw {nothing}."),
        (wordings.WHEN, f"I saw {nothing}."),
        (wordings.OFTEN, f"I saw {nothing}."),
    )[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
    text = _about(pick(asks.of(held_out=held_out), rng), asked)
    return YardQuestion(text, "never", answer, watched.now_seconds - watched.since_seconds)


def draw_summary(watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    """Who and what came in a span, in the order of their coming."""
    longest = (watched.now_seconds - watched.since_seconds) / 60
    minutes = [minutes for minutes in SPAN_MINUTES if minutes <= longest]
    if not minutes:
        raise NothingToAsk(f"memory covers less than {SPAN_MINUTES[0]} minutes")
    length_minutes = minutes[int(rng.integers(len(minutes)))]
    if rng.random() < 0.4:
        until_seconds = watched.now_seconds
        since_seconds = until_seconds - length_minutes * 60
        last = "hour" if length_minutes == 60 else f"{length_minutes} minutes"
        span = f"in the last {last}"
    else:
        latest = math.floor((watched.now_seconds - length_minutes * 60) / 60)
        earliest = math.ceil(watched.since_seconds / 60)
        if latest < earliest:
            raise NothingToAsk("memory covers no such span of whole minutes")
        since_seconds = 60.0 * float(rng.integers(earliest, latest + 1))
        until_seconds = since_seconds + length_minutes * 60
        span = f"between {at_clock(since_seconds)[3:]} and {at_clock(until_seconds)[3:]}"
    part = watched.part(since_seconds, until_seconds)
    if part.unsure or len(part.came) > MOST_FACTS or _begins_near(watched, until_seconds):
        raise NothingToAsk("too much came in the span, or something at its edges")
    if not part.came and rng.random() >= 4 * NOTHING_SHARE:
        raise NothingToAsk("nothing came in the span")
    facts = [f"{name_thing(*coming.named)} {at_clock(coming.start_seconds)}" for coming in part.came]
    text = pick(wordings.SUMMARY.of(held_out=held_out), rng).format(span=span)
    answer = sentence(listed(facts)) if facts else NOTHING_CAME
    age_seconds = watched.now_seconds - since_seconds
    return YardQuestion(text, "summary", answer, age_seconds, told_seconds=_starts(part.came))


def times_and_count(times_seconds: Sequence[float]) -> str:
    """ "At 14:05, a 2nd at 14:27: twice.", at most `MOST_TIMES`; each is found by its number."""
    count = len(times_seconds)
    times = [ordinal + at_clock(seconds) for ordinal, seconds in zip(ORDINALS, times_seconds, strict=False)]
    return sentence(f"{', '.join(times)}: {OFTEN.get(count, f'{count} times')}")


def _times_without_numbers(times_seconds: Sequence[float]) -> str:
    """ "At 14:05 and 14:27, twice.", as the bundled checkpoint learned it; as right."""
    count = len(times_seconds)
    times = [at_clock(seconds).removeprefix("at ") for seconds in times_seconds]
    return f"At {listed(times)}, {OFTEN.get(count, f'{count} times')}."


def first_of_two(names: tuple[str, str], times_seconds: tuple[float, float]) -> str:
    """ "The car came at 12:31, the person at 12:29: the person was first." """
    times = [at_clock(seconds) for seconds in times_seconds]
    first = names[times_seconds[1] < times_seconds[0]]
    return sentence(f"{names[0]} came {times[0]}, {names[1]} {times[1]}: {first} was first")


def _starts(told: Sequence[Coming | Event]) -> tuple[float, ...]:
    return tuple(each.start_seconds for each in told)


def _begins_near(watched: Watched, time_seconds: float) -> bool:
    return any(abs(coming.start_seconds - time_seconds) < EDGE_SECONDS for coming in watched.there)


def _one(came: Sequence[Coming], rng: np.random.Generator) -> Coming:
    """One of them, a rare one rather than another."""
    rare = [coming for coming in came if coming.kind in RARE_KINDS]
    if rare and rng.random() < 0.5:
        came = rare
    if not came:
        raise NothingToAsk("nothing came")
    return came[int(rng.integers(len(came)))]


def _asked_of(coming: Coming, rng: np.random.Generator) -> Asked:
    return (coming.kind, "") if rng.random() < 0.4 else coming.named


def _known_ones(watched: Watched, asked: Asked) -> tuple[Asked, list[Coming]]:
    came = watched.known(asked)
    if not came:
        raise NothingToAsk("what came was there before, or is unsure")
    return asked, came


def _the_only(watched: Watched, came: Sequence[Coming], rng: np.random.Generator) -> tuple[Asked, Coming]:
    """Something that came once, and what to call it; by its kind alone where that is enough, half of the time."""
    coming = _one(came, rng)
    asked = [asked for asked in {(coming.kind, ""), coming.named} if watched.known(asked) == [coming]]
    if not asked:
        raise NothingToAsk("it came more than once")
    return sorted(asked)[int(rng.integers(len(asked)))], coming


def _absent(watched: Watched, rng: np.random.Generator, *, painted_share: float) -> Asked:
    """What was not there at any moment: of a rare kind, of a colour, or of a kind as such."""
    absent = [asked for asked in ALL_ASKED if watched.known(asked) == []]
    rare = [asked for asked in absent if asked[0] in RARE_KINDS]
    painted = [asked for asked in absent if _is_painted(asked)]
    plain = [asked for asked in absent if not _is_painted(asked) and asked[0] not in RARE_KINDS]
    if rng.random() < RARE_SHARE and rare:
        absent = rare
    elif (rng.random() < painted_share or not plain) and painted:
        absent = painted
    elif plain:
        absent = plain
    if not absent:
        raise NothingToAsk("everything came")
    return absent[int(rng.integers(len(absent)))]


def _is_painted(asked: Asked) -> bool:
    return bool(asked[1])


def _about(template: str, asked: Asked) -> str:
    return template.format(a=name_thing(*asked), the=name_with("the", *asked))
