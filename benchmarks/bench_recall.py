"""What memory is worth: exact answers about the yard by the age of their evidence, for each policy of long-term memory.

`python -m benchmarks.bench_recall`; `--quick --seed S --json` within five minutes on two cores. All policies answer the
same questions from the same frames under the same token budget, beside two baselines: the last four frames alone, and
no pictures at all. A full run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.harness import environment, write_result
from benchmarks.recall.seen import sightings_of
from llm.huggingface import BUNDLED_FOLDER, HuggingFaceModel, load
from memory import Evidence, Memory, PolicyName
from streamer.yard.exam import answer_from, answer_to, memory_for
from streamer.yard.fingerprint import fingerprint
from streamer.yard.questions import (
    CLASSES,
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
AGES_SECONDS = (10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600)
"""A question belongs to the first of them that its evidence is not older than."""
QUICK_SPAN_SECONDS, FULL_SPANS_SECONDS = 1800.0, (600.0, 3600.0, 21_600.0)
PER_WORLD = 3
_err = Console(stderr=True)


@dataclass(frozen=True)
class Asked:
    """One question and how each policy answered: 1 right, 0 wrong; of summaries, facts."""

    question: YardQuestion
    right: dict[str, bool]
    facts: dict[str, tuple[int, int, int]]


def main(
    quick: Annotated[
        bool, typer.Option(help="`similarity` and `blind` alone, ages up to 30 minutes, 40 questions a class.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Which worlds and questions.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One object on standard output, nothing else.")] = False,
    num_worlds: Annotated[int, typer.Option(min=1, help="Of a full run, for each length of memory.")] = 24,
    cache: Annotated[Path, typer.Option(help="Where encoded frames and answers of a full run are kept.")] = Path(
        ".recall"
    ),
) -> None:
    """Fills memories, asks, counts. A full run writes benchmarks/results/recall.json."""
    machine = environment()
    model = load("bundled", device=None)
    where = cache / fingerprint(BUNDLED_FOLDER) / _weights_of(BUNDLED_FOLDER)
    names = ("similarity", "blind") if quick else (*POLICIES, *BASELINES)
    with Progress(console=_err, transient=True) as progress:
        asked = (
            _quick(model, seed, names, where, progress)
            if quick
            else _full(model, seed, names, num_worlds, where, progress)
        )
    figures = summarised(asked, names)
    if as_json:
        sys.stdout.write(json.dumps({**figures, "seed": seed}) + "\n")
    else:
        _show(figures, names)
    if not quick:
        _err.print(
            "written to", write_result("recall", {**figures, "seed": seed, "worlds": num_worlds}, machine=machine).name
        )


def _quick(model: HuggingFaceModel, seed: int, names: Iterable[str], cache: Path, progress: Progress) -> list[Asked]:
    """Worlds until each class has its 40 questions."""
    wanted = 40
    bar = progress.add_task("questions", total=wanted * len(CLASSES))
    asked: list[Asked] = []
    numbers: Counter[str] = Counter()
    for number in count():
        lacking = [klass for klass in CLASSES if numbers[klass] < wanted]
        if not lacking:
            return asked
        for each in ask_world(model, seed, number, QUICK_SPAN_SECONDS, names, lacking, PER_WORLD, cache):
            if numbers[each.question.klass] < wanted:
                numbers[each.question.klass] += 1
                asked.append(each)
        progress.update(bar, completed=len(asked))
    raise AssertionError("unreachable")


def _full(
    model: HuggingFaceModel, seed: int, names: Iterable[str], num_worlds: int, cache: Path, progress: Progress
) -> list[Asked]:
    bar = progress.add_task("worlds", total=num_worlds * len(FULL_SPANS_SECONDS))
    asked: list[Asked] = []
    for span_seconds in FULL_SPANS_SECONDS:
        for number in range(num_worlds):
            file = cache / f"answers-{seed}-{number}-{span_seconds:.0f}.json"
            if file.is_file():
                asked += _read(file)
            else:
                new = list(ask_world(model, seed, number, span_seconds, names, CLASSES, PER_WORLD, cache))
                _write(file, new)
                asked += new
            progress.advance(bar)
    return asked


def ask_world(
    model: HuggingFaceModel,
    seed: int,
    number: int,
    span_seconds: float,
    names: Iterable[str],
    classes: Iterable[str],
    per_class: int,
    cache: Path,
) -> Iterator[Asked]:
    """Fills a memory per policy with one world's span, and asks each the same questions, in wordings not learned."""
    rng = np.random.default_rng([seed, number, int(span_seconds)])
    world = World(seed % 90 * 100 + number % 100)  # below the seeds of training
    day_seconds = datetime(2026, 1, 1).timestamp() + rng.uniform(1, 364) * 86_400
    now_seconds = draw_moment(world, day_seconds, rng)
    since_seconds = now_seconds - span_seconds
    questions = list(_questions(world, since_seconds, now_seconds, classes, per_class, rng))
    seen = sightings_of(
        world,
        model.encoder,
        since_seconds=since_seconds,
        until_seconds=now_seconds,
        fps=SAMPLING_FPS,
        cache=cache,
    )
    memories = {name: _memory(model, name, seen) for name in names}
    for question in questions:
        right, facts = {}, {}
        for name, memory in memories.items():
            answer = _answer(model, memory, question.text, now_seconds)
            right[name] = is_right(question, answer)
            if question.klass == "summary":
                score = score_summary(question, answer)
                facts[name] = (score.num_true, score.num_found, score.num_made_up)
        yield Asked(question, right, facts)


def _questions(
    world: World,
    since_seconds: float,
    now_seconds: float,
    classes: Iterable[str],
    per_class: int,
    rng: np.random.Generator,
) -> Iterator[YardQuestion]:
    for klass in classes:
        for _ in range(per_class):
            try:
                yield draw_question(world, since_seconds, now_seconds, rng, klass=klass, held_out=True)
            except NothingToAsk:
                continue


def _memory(model: HuggingFaceModel, name: str, seen: list[Sighting]) -> Memory | None:
    """None for who sees nothing."""
    if name == "blind":
        return None
    memory = memory_for(model, policy=name if name in POLICIES else "similarity")
    if name == "last 4 frames":
        last = [sighting for sighting in seen if sighting.tokens is not None][-4:]
        since_seconds = last[0].time_seconds
        seen = [sighting for sighting in seen if sighting.time_seconds >= since_seconds]
    remember(memory, seen)
    return memory


def _answer(model: HuggingFaceModel, memory: Memory | None, question: str, now_seconds: float) -> str:
    if memory is not None:
        return answer_from(model, memory, question, now_seconds)
    tokens = torch.empty(0, model.encoder.num_tokens, model.encoder.width, device=model.device, dtype=model.dtype)
    nothing = Evidence(0, now_seconds, tokens, (), (), None, None)
    return answer_to(model, nothing, question)


def summarised(asked: list[Asked], names: Iterable[str]) -> dict[str, Any]:
    """Accuracy by policy and class, by policy and age, and what summaries found and made up."""
    numbers = Counter(each.question.klass for each in asked)
    accuracy = {
        name: {klass: _share(each.right[name] for each in asked if each.question.klass == klass) for klass in CLASSES}
        for name in names
    }
    by_age: dict[str, dict[str, Any]] = defaultdict(dict)
    for age in AGES_SECONDS:
        here = [each for each in asked if _age_of(each.question) == age]
        for name in names:
            by_age[name][str(age)] = {"accuracy": _share(each.right[name] for each in here), "questions": len(here)}
    summaries = {}
    for name in names:
        true, found, made_up = (sum(each.facts[name][place] for each in asked if each.facts) for place in range(3))
        summaries[name] = {"facts": true, "found": found, "made_up": made_up}
    return {
        "accuracy": accuracy,
        "questions": {klass: numbers[klass] for klass in CLASSES},
        "accuracy_by_age": dict(by_age),
        "summaries": summaries,
    }


def _age_of(question: YardQuestion) -> int | None:
    """The age that a question about the past belongs to; None for the others."""
    if question.klass not in ("recent", "past", "duration", "summary"):
        return None
    return next((age for age in AGES_SECONDS if question.age_seconds <= age), None)


def _share(right: Iterable[bool]) -> float | None:
    marks = list(right)
    return round(sum(marks) / len(marks), 4) if marks else None


def _write(file: Path, asked: list[Asked]) -> None:
    half_written = file.with_suffix(".part")
    half_written.write_text(json.dumps([[vars(each.question), each.right, each.facts] for each in asked]))
    half_written.replace(file)


def _read(file: Path) -> list[Asked]:
    rows = json.loads(file.read_text())
    return [
        Asked(
            YardQuestion(**{**question, "also_right": tuple(question["also_right"])}),
            right,
            {name: (each[0], each[1], each[2]) for name, each in facts.items()},
        )
        for question, right, facts in rows
    ]


def _weights_of(folder: Path) -> str:
    import hashlib

    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]


def _show(figures: dict[str, Any], names: Iterable[str]) -> None:
    table = Table("policy", *CLASSES, title="exact answers by class of question")
    for name in names:
        table.add_row(name, *(_percent(figures["accuracy"][name][klass]) for klass in CLASSES))
    table.add_row("questions", *(str(figures["questions"][klass]) for klass in CLASSES))
    Console().print(table)
    table = Table("policy", *(_age_text(age) for age in AGES_SECONDS), title="exact answers by age of the evidence")
    for name in names:
        ages = figures["accuracy_by_age"][name]
        table.add_row(name, *(_percent(ages[str(age)]["accuracy"]) for age in AGES_SECONDS))
    Console().print(table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _age_text(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"


if __name__ == "__main__":
    typer.run(main)
