"""How right the bundled checkpoint is about worlds it has not seen: `python -m benchmarks.bench_checkpoint`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.harness import bundled, environment, processes, write_result
from streamer.yard.exam import ClassResult, ExamResult, examine, examine_memory
from streamer.yard.questions import CLASSES

SPAN_SECONDS = 3600.0


def main(
    num_worlds: Annotated[int, typer.Option(min=1, max=10_000, help="Seeds 0..n-1; none is trained on.")] = 200,
) -> None:
    """Names and other questions about now after 12 s; then each class of question after an hour's memory."""
    machine = environment()
    seen, remembered = ExamResult(), ClassResult()
    with Progress() as progress, processes() as pool:
        bar = progress.add_task("now", total=num_worlds)
        for one in pool.imap(_examine, range(num_worlds)):
            seen += one
            progress.advance(bar)
        bar = progress.add_task("an hour's memory", total=num_worlds)
        for other in pool.imap(_examine_memory, range(num_worlds)):
            remembered += other
            progress.advance(bar)
    hour = remembered.accuracy()
    figures = {
        "num_worlds": num_worlds,
        "precision": round(seen.precision, 4),
        "recall": round(seen.recall, 4),
        "descriptions_wholly_right": round(seen.num_whole / num_worlds, 4),
        "exact_match": {name: round(share, 4) for name, share in seen.accuracy().items()},
        "num_asked": dict(sorted(seen.asked.items())),
        "hour": {
            "exact_match": {name: round(hour[name], 4) for name in CLASSES if name in hour},
            "num_asked": {name: remembered.asked[name] for name in CLASSES if name in hour},
            "facts_of_summaries": {
                "there": remembered.facts_there,
                "found": remembered.facts_found,
                "made_up": remembered.facts_made_up,
            },
        },
    }
    table = Table("figure", "share", title=f"{num_worlds} unseen worlds")
    for name in ("precision", "recall", "descriptions_wholly_right"):
        table.add_row(name.replace("_", " "), f"{figures[name]:.1%}")
    for name, share in seen.accuracy().items():
        table.add_row(f"exact match: {name}", f"{share:.1%} of {seen.asked[name]}")
    for name, share in hour.items():
        table.add_row(f"after an hour, in wordings not learned: {name}", f"{share:.1%} of {remembered.asked[name]}")
    Console().print(table)
    Console().print("written to", write_result("checkpoint", figures, machine=machine).name)


def _examine(seed: int) -> ExamResult:
    return examine(bundled(), [seed])


def _examine_memory(seed: int) -> ClassResult:
    return examine_memory(bundled(), [seed], span_seconds=SPAN_SECONDS, per_class=2)


if __name__ == "__main__":
    typer.run(main)
