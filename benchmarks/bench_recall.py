"""What memory is worth: exact answers about the yard by the age of their evidence, for each policy of long-term memory.

`python -m benchmarks.bench_recall`; `--quick --seed S --json` within five minutes on two cores. All policies answer the
same questions from the same frames under the same token budget, beside two baselines: the last four frames alone, and
no pictures at all. A full run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import count
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.harness import environment, processes, write_result
from benchmarks.recall.asking import BASELINES, POLICIES, Asked, Job, do, read_answers, write_answers
from benchmarks.recall.plot import age_text, draw_plot
from llm.huggingface import BUNDLED_FOLDER
from streamer.yard.fingerprint import fingerprint
from streamer.yard.questions import CLASSES, YardQuestion

AGES_SECONDS = (10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600)
"""A question belongs to the first of them that its evidence is not older than."""
QUICK_SPAN_SECONDS, FULL_SPANS_SECONDS = 1800.0, (600.0, 3600.0, 21_600.0)
QUICK_NAMES, QUICK_QUESTIONS = ("similarity", "blind"), 40
PLOT = Path(__file__).parents[1] / "docs" / "recall.png"
_err = Console(stderr=True)


def main(
    quick: Annotated[
        bool, typer.Option(help="`similarity` and `blind` alone, ages up to 30 minutes, 40 questions a class.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Which worlds and questions.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One object on standard output, nothing else.")] = False,
    num_worlds: Annotated[int, typer.Option(min=1, help="Of a full run, for each length of memory.")] = 24,
    cache: Annotated[Path, typer.Option(help="Where encoded frames and answers are kept.")] = Path(".recall"),
) -> None:
    """Fills memories, asks, counts. A full run writes benchmarks/results/recall.json and docs/recall.png."""
    machine = environment()
    where = cache_of(cache)
    names = QUICK_NAMES if quick else (*POLICIES, *BASELINES)
    with Progress(console=_err, transient=True) as progress, processes() as pool:
        asked = _quick(pool, seed, where, progress) if quick else _full(pool, seed, names, num_worlds, where, progress)
    figures = summarised(asked, names)
    if as_json:
        told = {name: figures[name] for name in ("accuracy", "questions")} if quick else figures
        sys.stdout.write(json.dumps({**told, "seed": seed}) + "\n")
    else:
        _show(figures, names)
    if not quick:
        figures = {**figures, "seed": seed, "worlds": num_worlds * len(FULL_SPANS_SECONDS)}
        draw_plot(figures, PLOT)
        _err.print("written to", write_result("recall", figures, machine=machine).name, "and", PLOT.name)


def _quick(pool: Pool, seed: int, cache: Path, progress: Progress) -> list[Asked]:
    """Four worlds at a time until each class has its 40 questions."""
    bar = progress.add_task("questions", total=QUICK_QUESTIONS * len(CLASSES))
    asked: list[Asked] = []
    numbers: Counter[str] = Counter()
    for first in count(step=4):
        lacking = tuple(klass for klass in CLASSES if numbers[klass] < QUICK_QUESTIONS)
        if not lacking:
            return asked
        jobs = [Job(seed, first + place, QUICK_SPAN_SECONDS, QUICK_NAMES, lacking, cache) for place in range(4)]
        for answered in pool.imap(do, jobs):
            for each in answered:
                if numbers[each.question.klass] < QUICK_QUESTIONS:
                    numbers[each.question.klass] += 1
                    asked.append(each)
            progress.update(bar, completed=len(asked))
    raise AssertionError("unreachable")


def _full(
    pool: Pool, seed: int, names: tuple[str, ...], num_worlds: int, cache: Path, progress: Progress
) -> list[Asked]:
    jobs = [
        Job(seed, number, span_seconds, names, CLASSES, cache)
        for span_seconds in sorted(FULL_SPANS_SECONDS, reverse=True)
        for number in range(num_worlds)
    ]
    lacking = [job for job in jobs if not job.file.is_file()]
    bar = progress.add_task("worlds", total=len(jobs), completed=len(jobs) - len(lacking))
    for job, answered in zip(lacking, pool.imap(do, lacking), strict=True):
        write_answers(job.file, answered)
        progress.advance(bar)
    return [each for job in jobs for each in read_answers(job.file)]


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


def cache_of(folder: Path) -> Path:
    """Made, for what the bundled checkpoint as it is sees and answers."""
    weights = hashlib.sha256((BUNDLED_FOLDER / "model.safetensors").read_bytes()).hexdigest()[:12]
    where = folder / fingerprint(BUNDLED_FOLDER) / weights
    where.mkdir(parents=True, exist_ok=True)
    return where


def _show(figures: dict[str, Any], names: Iterable[str]) -> None:
    table = Table("policy", *CLASSES, title="exact answers by class of question")
    for name in names:
        table.add_row(name, *(_percent(figures["accuracy"][name][klass]) for klass in CLASSES))
    table.add_row("questions", *(str(figures["questions"][klass]) for klass in CLASSES))
    Console().print(table)
    table = Table("policy", *(age_text(age) for age in AGES_SECONDS), title="exact answers by age of the evidence")
    for name in names:
        ages = figures["accuracy_by_age"][name]
        table.add_row(name, *(_percent(ages[str(age)]["accuracy"]) for age in AGES_SECONDS))
    Console().print(table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


if __name__ == "__main__":
    typer.run(main)
