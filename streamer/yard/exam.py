"""Examines a model on worlds it has not seen, through memory as an agent fills it, with exact truth and no judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from llm.base import LanguageModel
from memory import Memory
from streamer.yard.questions import DESCRIBE, Exchange, draw_exchange, draw_moment, named_in
from streamer.yard.render import render
from streamer.yard.world import World, YardState

SAMPLING_FPS = 2.0
_CAMERA = "yard"


@dataclass
class ExamResult:
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
    model: LanguageModel,
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


def answer_from(model: LanguageModel, memory: Memory, question: str, now_seconds: float) -> str:
    """The whole answer about the first camera of `memory`."""
    slots = model.max_slots(question, camera=_CAMERA, now_seconds=now_seconds)
    evidence = memory.recall(0, now_seconds=now_seconds, max_slots=slots)
    pieces = model.answer(evidence, question, camera=_CAMERA, max_new_tokens=96)
    return "".join(piece.text for piece in pieces)


def _watched(model: LanguageModel, world: World, now_seconds: float, num_frames: int) -> tuple[Memory, YardState]:
    memory = Memory(
        1,
        num_tokens=model.encoder.num_tokens,
        width=model.encoder.width,
        max_slots=64,
        dtype=model.dtype,
        device=model.device,
    )
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
