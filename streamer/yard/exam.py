"""Examines a model on worlds it has not seen, through memory as an agent fills it, with exact truth and no judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import numpy as np

from llm.base import LocalModel
from memory import Evidence, Memory, PolicyName
from streamer.yard.questions import (
    CLASSES,
    DESCRIBE,
    Exchange,
    NothingToAsk,
    YardQuestion,
    draw_exchange,
    draw_moment,
    draw_question,
    is_right,
    named_in,
    score_summary,
)
from streamer.yard.render import render
from streamer.yard.sightings import Sightings, remember
from streamer.yard.world import World, YardState

SAMPLING_FPS = 2.0
_CAMERA = "yard"


class _Counts:
    """Those of two exams add up, field by field."""

    def __add__(self, other: Self) -> Self:
        return type(self)(
            *(one + another for one, another in zip(vars(self).values(), vars(other).values(), strict=True))
        )


@dataclass
class ExamResult(_Counts):
    """Counts over all worlds: things named and right, things there and named; right answers per class of question."""

    num_named: int = 0
    num_there: int = 0
    num_right: int = 0
    num_worlds: int = 0
    num_whole: int = 0
    """Worlds whose description was right in every thing."""
    asked: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    @property
    def precision(self) -> float:
        """Share of the things it names that are there in that colour."""
        return self.num_right / max(1, self.num_named)

    @property
    def recall(self) -> float:
        """Share of the things that are there that it names in their colour."""
        return self.num_right / max(1, self.num_there)

    def accuracy(self) -> dict[str, float]:
        """Exact match per class of question."""
        return {name: self.right[name] / self.asked[name] for name in sorted(self.asked)}


def examine(
    model: LocalModel,
    seeds: Iterable[int],
    *,
    frames_per_world: int = 24,
    others_per_world: int = 3,
    on_world: Callable[[], None] = lambda: None,
) -> ExamResult:
    """For each seed: `frames_per_world` frames up to a moment go into memory, then it is asked what is there, and more.

    The day is drawn from the year 2026 by the seed, as are the moment, wordings and the other questions.
    """
    result = ExamResult()
    for seed in seeds:
        rng = np.random.default_rng([seed, 7])
        world = World(seed)
        day_seconds = datetime(2026, 1, 1).timestamp() + rng.uniform(86_400, 364 * 86_400)
        now_seconds = draw_moment(world, day_seconds, rng)
        memory, state = _watched(model, world, now_seconds, frames_per_world)
        question = DESCRIBE[int(rng.integers(len(DESCRIBE)))]
        named = named_in(answer_from(model, memory, question, now_seconds))
        there = Counter(state.named())
        right = (named & there).total()
        result.num_named += named.total()
        result.num_there += there.total()
        result.num_right += right
        result.num_worlds += 1
        result.num_whole += named == there
        for _ in range(others_per_world):
            exchange = draw_exchange(state, rng)
            kind = _class_of(exchange)
            result.asked[kind] += 1
            result.right[kind] += answer_from(model, memory, exchange.question, now_seconds) == exchange.answer
        on_world()
    return result


@dataclass
class ClassResult(_Counts):
    """Counts per class of question; of summaries, the facts."""

    asked: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    facts_there: int = 0
    facts_found: int = 0
    facts_made_up: int = 0
    wrong: list[tuple[str, str, str, str]] = field(default_factory=list)
    """(class, question, true answer, answer)."""

    def accuracy(self) -> dict[str, float]:
        return {name: self.right[name] / self.asked[name] for name in sorted(self.asked)}


def examine_memory(
    model: LocalModel,
    seeds: Iterable[int],
    *,
    span_seconds: float,
    per_class: int = 1,
    lively: bool = False,
    on_world: Callable[[], None] = lambda: None,
) -> ClassResult:
    """For each seed: memory is filled for `span_seconds` up to a moment, as an agent fills it, then questions of every
    class are asked in wordings that were not learned."""
    result = ClassResult()
    for seed in seeds:
        rng = np.random.default_rng([seed, 11])
        world = World(seed, lively=lively)
        now_seconds = draw_moment(world, datetime(2026, 1, 1).timestamp() + rng.uniform(1, 364) * 86_400, rng)
        since_seconds = now_seconds - span_seconds
        memory = memory_for(model)
        remember(memory, Sightings(world, model.encoder, fps=SAMPLING_FPS).between(since_seconds, now_seconds))
        for klass in CLASSES:
            for question in _fair(world, since_seconds, now_seconds, klass, per_class, rng):
                answer = answer_from(model, memory, question.text, now_seconds)
                result.asked[klass] += 1
                if klass == "summary":
                    score = score_summary(question, answer)
                    result.facts_there += score.num_true
                    result.facts_found += score.num_found
                    result.facts_made_up += score.num_made_up
                if is_right(question, answer):
                    result.right[klass] += 1
                else:
                    result.wrong.append((klass, question.text, question.answer, answer))
        on_world()
    return result


def _fair(
    world: World, since_seconds: float, now_seconds: float, klass: str, count: int, rng: np.random.Generator
) -> Iterator[YardQuestion]:
    for _ in range(count):
        try:
            yield draw_question(world, since_seconds, now_seconds, rng, klass=klass, held_out=True)
        except NothingToAsk:
            continue


def answer_from(model: LocalModel, memory: Memory, question: str, now_seconds: float) -> str:
    """The whole answer about the first camera of `memory`."""
    slots = model.max_slots(question, camera=_CAMERA, reach=memory.reach(0, now_seconds=now_seconds))
    return answer_to(model, memory.recall(0, now_seconds=now_seconds, max_slots=slots), question)


def answer_to(model: LocalModel, evidence: Evidence, question: str) -> str:
    """The whole answer from `evidence`."""
    return "".join(piece.text for piece in model.answer(evidence, question, camera=_CAMERA, max_new_tokens=96))


def memory_for(model: LocalModel, *, policy: PolicyName = "similarity") -> Memory:
    """An agent's memory of one camera."""
    return Memory(
        1,
        num_tokens=model.encoder.num_tokens,
        width=model.encoder.width,
        max_slots=64,
        dtype=model.dtype,
        device=model.device,
        policy=policy,
    )


def _watched(model: LocalModel, world: World, now_seconds: float, num_frames: int) -> tuple[Memory, YardState]:
    memory = memory_for(model)
    times = [now_seconds - age / SAMPLING_FPS for age in reversed(range(num_frames))]
    tokens = model.encoder.encode([render(world.state_at(time_seconds)) for time_seconds in times])
    for time_seconds, frame in zip(times, tokens, strict=True):
        memory.push(0, frame, time_seconds=time_seconds)
        memory.consolidate([time_seconds])
    return memory, world.state_at(now_seconds)


def _class_of(exchange: Exchange) -> str:
    """The class of a question, told from the form of its true answer."""
    answer = exchange.answer
    for start, name in (
        ("The gate", "gate"),
        ("The lamp", "lamp"),
        ("It is", "daylight"),
        ("There ", "count"),
        ("Yes", "presence"),
        ("No", "presence"),
        ("I cannot know", "unknowable"),
    ):
        if answer.startswith(start):
            return name
    return "colour"
