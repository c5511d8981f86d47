"""Exercises in what follows from times that are told: which was first, how long it was, how often it was.

The times are made up, and only what follows from them is to be learned: it is the same whatever a memory holds, and a
memory has too few of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from streamer.yard import wordings
from streamer.yard.answers import from_to, name_thing, name_with
from streamer.yard.past import LEAST_DURATION_SECONDS, MOST_TIMES, first_of_two, times_and_count
from streamer.yard.present import pick
from streamer.yard.watched import ALL_ASKED, Asked

LONGEST_SECONDS = 5400.0


@dataclass(frozen=True)
class Drill:
    """A question with an answer, of which only what stands from character `taught_from` on is to be learned."""

    text: str
    answer: str
    taught_from: int


def draw_drill(near_seconds: float, rng: np.random.Generator) -> Drill:
    """With times of the hours before `near_seconds`."""
    draw = (_first, _long, _long, _often)[int(rng.integers(4))]
    return draw(near_seconds - float(rng.uniform(0, LONGEST_SECONDS)), rng)


def _first(time_seconds: float, rng: np.random.Generator) -> Drill:
    one, other = _asked(rng), _asked(rng)
    apart = _length(rng, least_seconds=60.0) * float(rng.choice((-1.0, 1.0)))
    names = name_with("the", *one), name_with("the", *other)
    answer = first_of_two(names, (time_seconds, time_seconds + apart))
    text = pick(wordings.FIRST.train, rng).format(the=names[0], the_other=names[1])
    return Drill(text, answer, answer.rindex(": ") + 1)


def _long(time_seconds: float, rng: np.random.Generator) -> Drill:
    answer = from_to(time_seconds, time_seconds + _length(rng, least_seconds=LEAST_DURATION_SECONDS))
    if rng.random() < 0.5:
        text = pick(wordings.GATE_LONG.train, rng)
    else:
        text = pick(wordings.LONG.train, rng).format(the=name_with("the", *_asked(rng)))
    return Drill(text, f"{answer[0].upper()}{answer[1:]}.", answer.index(", ") + 1)


def _often(time_seconds: float, rng: np.random.Generator) -> Drill:
    count = int(rng.integers(1, MOST_TIMES + 1))
    answer = times_and_count(sorted(time_seconds + float(rng.uniform(0, 3600)) for _ in range(count)))
    return Drill(pick(wordings.OFTEN.train, rng).format(a=name_thing(*_asked(rng))), answer, answer.rindex(": ") + 1)


def _length(rng: np.random.Generator, *, least_seconds: float) -> float:
    """As many short ones as long ones."""
    return math.exp(rng.uniform(math.log(least_seconds), math.log(LONGEST_SECONDS)))


def _asked(rng: np.random.Generator) -> Asked:
    return ALL_ASKED[int(rng.integers(len(ALL_ASKED)))]
