"""What the archive is worth: the same questions about an hour when it ends, a day later and a week later.

`python -m benchmarks.bench_later`; beside the archive what long-term memory alone still has of that hour. And
how long the first word takes, after a minute and after a day.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.bench_recall import cache_of
from benchmarks.harness import environment, processes, write_result
from benchmarks.recall.first_token import first_tokens
from benchmarks.recall.later import CLASSES, LATER_SECONDS, WAYS, AskedLater, LaterJob, do_later, write_others
from benchmarks.recall.plot import age_text

_err = Console(stderr=True)


def main(
    num_worlds: Annotated[int, typer.Option(min=1, help="How many hours are asked about.")] = 48,
    seed: Annotated[int, typer.Option(min=0, help="Which worlds and questions.")] = 0,
    cache: Annotated[Path, typer.Option(help="Where encoded frames are kept.")] = Path(".recall"),
) -> None:
    """Writes benchmarks/results/later.json."""
    machine = environment()
    where = cache_of(cache)
    asked: list[AskedLater] = []
    with Progress(console=_err, transient=True) as progress, processes() as pool:
        bar = progress.add_task("worlds", total=num_worlds)
        pool.apply(write_others, (where,))
        for answered in pool.imap(do_later, [LaterJob(seed, number, where) for number in range(num_worlds)]):
            asked += answered
            progress.advance(bar)
        waited = pool.apply(first_tokens, (where,))
    figures = {**summarised(asked), "first_token": waited}
    table = Table("class", *(f"{way}, {_age(later)}" for later in LATER_SECONDS for way in WAYS), "questions")
    for klass in CLASSES:
        shares = (figures["accuracy"][_age(later)][way][klass] for later in LATER_SECONDS for way in WAYS)
        table.add_row(
            klass, *("-" if share is None else f"{share:.1%}" for share in shares), str(figures["questions"][klass])
        )
    Console().print(table)
    table = Table("watched for", "first word, ms", "slots of the prompt")
    for seconds, each in waited.items():
        table.add_row(age_text(int(seconds)), str(each["first_token_ms"]), str(each["slots"]))
    Console().print(table)
    _err.print(
        "written to", write_result("later", {**figures, "seed": seed, "worlds": num_worlds}, machine=machine).name
    )


def summarised(asked: list[AskedLater]) -> dict[str, Any]:
    """Accuracy by how much later, way and class; None where nothing was asked."""
    numbers = Counter(each.klass for each in asked)
    return {
        "questions": {klass: numbers[klass] for klass in CLASSES},
        "accuracy": {
            _age(later): {
                way: {
                    klass: round(
                        sum(each.right[later, way] for each in asked if each.klass == klass) / numbers[klass], 4
                    )
                    if numbers[klass]
                    else None
                    for klass in CLASSES
                }
                for way in WAYS
            }
            for later in LATER_SECONDS
        },
    }


def _age(seconds: float) -> str:
    return age_text(int(seconds)) if seconds else "at once"


if __name__ == "__main__":
    typer.run(main)
