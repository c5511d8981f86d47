"""How right the bundled checkpoint is about worlds it has not seen: `python -m benchmarks.bench_checkpoint`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.harness import environment, write_result
from llm.huggingface import load
from streamer.yard.exam import examine


def main(
    num_worlds: Annotated[int, typer.Option(min=1, max=10_000, help="Seeds 0..n-1; none is trained on.")] = 200,
    model: Annotated[str, typer.Option(help="'bundled' or a folder.")] = "bundled",
) -> None:
    """Precision and recall of what it names, and exact match for each other class of question."""
    machine = environment()
    loaded = load(model)
    with Progress() as progress:
        bar = progress.add_task("worlds", total=num_worlds)
        result = examine(loaded, range(num_worlds), on_world=lambda: progress.advance(bar))
    figures = {
        "num_worlds": result.num_worlds,
        "precision": round(result.precision, 4),
        "recall": round(result.recall, 4),
        "descriptions_wholly_right": round(result.num_whole / result.num_worlds, 4),
        "exact_match": {name: round(share, 4) for name, share in result.accuracy().items()},
        "num_asked": dict(sorted(result.asked.items())),
    }
    table = Table("figure", "share", title=f"{loaded.name} on {num_worlds} unseen worlds")
    for name in ("precision", "recall", "descriptions_wholly_right"):
        table.add_row(name.replace("_", " "), f"{figures[name]:.1%}")
    for name, share in result.accuracy().items():
        table.add_row(f"exact match: {name}", f"{share:.1%} of {result.asked[name]}")
    Console().print(table)
    if model == "bundled":
        Console().print("written to", write_result("checkpoint", figures, machine=machine).name)


if __name__ == "__main__":
    typer.run(main)
