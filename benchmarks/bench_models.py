"""What a real checkpoint costs on this machine, and what the same question costs in plain transformers.

`python -m benchmarks.bench_models`. Weights are random, shapes are the presets': times are true, answers are noise.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.harness import environment, write_result
from benchmarks.models.measure import answering, beside_a_camera, encoding, plainly
from benchmarks.models.random_weights import random_checkpoint
from llm.fit import free_bytes, needs
from llm.hardware import best_device, best_dtype
from llm.presets import PRESETS, Preset

SLOTS = (16, 64, 256)
MOST_SLOTS = 256
MOST_PARAMETERS = {"cpu": 1_200_000_000, "cuda": 20_000_000_000}
"""Larger ones take more than a minute for an answer here, and are left out unless they are named."""
_err = Console(stderr=True)


def main(
    preset: Annotated[list[str] | None, typer.Option(help="OWNER/NAME of `longwatch models`; may be repeated.")] = None,
    slots: Annotated[list[int] | None, typer.Option(help="Slots of long-term memory.")] = None,
) -> None:
    """Measures each preset that fits and writes benchmarks/results/models.json."""
    machine = environment()
    device = best_device()
    dtype = best_dtype(device)
    if unknown := set(preset or ()) - {each.name for each in PRESETS}:
        raise typer.BadParameter(f"no preset is called {', '.join(sorted(unknown))}; see: longwatch models")
    if any(not 1 <= count <= MOST_SLOTS for count in slots or ()):
        raise typer.BadParameter(f"long-term memory has 1 to {MOST_SLOTS} slots")
    chosen = [each for each in PRESETS if (each.name in preset if preset else _is_taken(each, device, dtype))]
    figures: dict[str, Any] = {"device": device.type, "dtype": str(dtype).removeprefix("torch."), "models": {}}
    with Progress(console=_err) as progress:
        bar = progress.add_task("presets", total=len(chosen))
        for each in chosen:
            progress.update(bar, description=each.name)
            figures["models"][each.name] = measured(each, device, dtype, tuple(slots or SLOTS))
            _err.print("written to", write_result("models", figures, machine=machine).name)  # the next may take an hour
            progress.advance(bar)
            gc.collect()
    _show(figures)


def measured(preset: Preset, device: torch.device, dtype: torch.dtype, slots: tuple[int, ...]) -> dict[str, Any]:
    """All figures of one preset."""
    model = random_checkpoint(preset, device=device, dtype=dtype)
    asked = [answering(model, count) for count in slots]
    plain = [plainly(model, count) for count in slots]
    for ours, theirs in zip(asked, plain, strict=True):
        if theirs["first_token_seconds"] is not None:
            theirs["over_ours"] = round(theirs["first_token_seconds"] / ours["first_token_seconds"], 1)
    return {
        "parameters": preset.shape.num_parameters,
        "encoding": encoding(model),
        "answering": asked,
        "plain_transformers": plain,
        "beside_a_camera": asyncio.run(beside_a_camera(model)),
    }


def _is_taken(preset: Preset, device: torch.device, dtype: torch.dtype) -> bool:
    shape, free = preset.shape, free_bytes(device)
    is_small = shape.num_parameters <= MOST_PARAMETERS[device.type]
    return is_small and (free is None or needs(shape, dtype=dtype, device=device.type).total < free)


def _show(figures: dict[str, Any]) -> None:
    table = Table("preset", "figure", "value", title=f"random weights, {figures['dtype']} on {figures['device']}")
    for name, each in figures["models"].items():
        for what, value in each["encoding"].items():
            table.add_row(name, what.replace("_", " "), f"{value:,}")
        for ours, theirs in zip(each["answering"], each["plain_transformers"], strict=True):
            plain = theirs["first_token_seconds"]
            told = f"{plain} s ({theirs['over_ours']} times ours)" if plain is not None else theirs["why"]
            table.add_row(
                name,
                f"first token, memory of {ours['slots']} slots ({ours['slots_in_prompt']} in the prompt)",
                f"{ours['first_token_seconds']} s, another question about the same evidence "
                f"{ours['first_token_of_another_question_about_the_same_evidence_seconds']} s; plain transformers, "
                f"{theirs['frames']} frames to be seen first: {told}",
            )
        for what, value in each["beside_a_camera"].items():
            table.add_row(name, f"beside a camera: {what.replace('_', ' ')}", str(value))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
