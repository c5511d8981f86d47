"""One world, the same questions to the memory of each policy, and how each answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from benchmarks.harness import bundled
from benchmarks.recall.seen import sightings_of
from llm.huggingface import HuggingFaceModel
from memory import Evidence, Memory, PolicyName
from streamer.yard.exam import answer_from, answer_to, memory_for
from streamer.yard.questions import (
    NothingToAsk,
    YardQuestion,
    draw_moment,
    draw_question,
    is_right,
    score_summary,
)
from streamer.yard.sightings import Sighting, remember
from streamer.yard.world import World

SAMPLING_FPS = 2.0
POLICIES: tuple[PolicyName, ...] = get_args(PolicyName)
BASELINES = ("last 4 frames", "blind")
PER_CLASS = 3


@dataclass(frozen=True)
class Asked:
    """One question and how each policy answered: 1 right, 0 wrong; of summaries, facts."""

    question: YardQuestion
    right: dict[str, bool]
    facts: dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class Job:
    """World `number` of a run with `seed`, watched for `span_seconds`; encoded frames and answers stay in `cache`."""

    seed: int
    number: int
    span_seconds: float
    names: tuple[str, ...]
    classes: tuple[str, ...]
    cache: Path

    @property
    def file(self) -> Path:
        """Of the answers of a full run."""
        return self.cache / f"answers-{self.seed}-{self.number}-{self.span_seconds:.0f}.json"


def do(job: Job) -> list[Asked]:
    """In a process of `harness.processes`."""
    return list(ask_world(bundled(), job))


def ask_world(model: HuggingFaceModel, job: Job) -> Iterator[Asked]:
    """Fills a memory per policy with one world's span, and asks each the same questions, in wordings not learned."""
    rng = np.random.default_rng([job.seed, job.number, int(job.span_seconds)])
    world = World(job.seed % 90 * 100 + job.number % 100)  # below the seeds of training
    day_seconds = datetime(2026, 1, 1).timestamp() + rng.uniform(1, 364) * 86_400
    now_seconds = draw_moment(world, day_seconds, rng)
    since_seconds = now_seconds - job.span_seconds
    questions = list(questions_of(world, since_seconds, now_seconds, job.classes, rng))
    seen = sightings_of(
        world,
        model.encoder,
        since_seconds=since_seconds,
        until_seconds=now_seconds,
        fps=SAMPLING_FPS,
        cache=job.cache,
    )
    memories = {name: _memory(model, name, seen) for name in job.names}
    for question in questions:
        right, facts = {}, {}
        for name, memory in memories.items():
            answer = answer_of(model, memory, question.text, now_seconds)
            right[name] = is_right(question, answer)
            if question.klass == "summary":
                score = score_summary(question, answer)
                facts[name] = (score.num_true, score.num_found, score.num_made_up)
        yield Asked(question, right, facts)


def answer_of(model: HuggingFaceModel, memory: Memory | None, question: str, now_seconds: float) -> str:
    """The whole answer; `memory` None: from no picture."""
    if memory is not None:
        return answer_from(model, memory, question, now_seconds)
    tokens = torch.empty(0, model.encoder.num_tokens, model.encoder.width, device=model.device, dtype=model.dtype)
    nothing = Evidence(0, now_seconds, tokens, (), (), None, None)
    return answer_to(model, nothing, question)


def write_answers(file: Path, asked: Iterable[Asked]) -> None:
    half_written = file.with_suffix(".part")
    half_written.write_text(json.dumps([[vars(each.question), each.right, each.facts] for each in asked]))
    half_written.replace(file)


def read_answers(file: Path) -> list[Asked]:
    rows = json.loads(file.read_text())
    return [
        Asked(
            YardQuestion(**_with_tuples(question)),
            right,
            {name: (each[0], each[1], each[2]) for name, each in facts.items()},
        )
        for question, right, facts in rows
    ]


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists alone."""
    return {name: tuple(each) if isinstance(each, list) else each for name, each in fields.items()}


def questions_of(
    world: World, since_seconds: float, now_seconds: float, classes: Iterable[str], rng: np.random.Generator
) -> Iterator[YardQuestion]:
    """At most `PER_CLASS` of each, in wordings not learned."""
    for klass in classes:
        for _ in range(PER_CLASS):
            try:
                yield draw_question(world, since_seconds, now_seconds, rng, klass=klass, held_out=True)
            except NothingToAsk:
                continue


def _memory(model: HuggingFaceModel, name: str, seen: list[Sighting]) -> Memory | None:
    """None for who sees nothing."""
    if name == "blind":
        return None
    memory = memory_for(model, policy=next((policy for policy in POLICIES if policy == name), "similarity"))
    if name == "last 4 frames":
        last = [sighting for sighting in seen if sighting.tokens is not None][-4:]
        since_seconds = last[0].time_seconds
        seen = [sighting for sighting in seen if sighting.time_seconds >= since_seconds]
    remember(memory, seen)
    return memory
