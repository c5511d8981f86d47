"""Consolidation beside the published loop's form, on the same tensors in one run: time, bytes, launches, error.

`python -m benchmarks.bench_similarity_merge`; with `--quick --json` under a minute, as one JSON object and no table.

Each case goes in rounds, and in each round every side has its turn, so that noise hits all alike. In its turn a side
has one call that is not measured, unless it is slow, and then some that are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median, quantiles
from typing import Annotated, Any, get_args

import psutil
import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness import environment, write_result
from benchmarks.published_loop import published_loop
from memory import consolidate
from memory.similarity_merge import Similarity
from tests.memory.greedy_loop import replay

REDUCTIONS = ((18, 2), (256, 128))
TOKENS = ((32, 768), (16, 960), (64, 1152))
BATCHES = (1, 8, 64)
_HAS_CUDA = torch.cuda.is_available()
SLOW_SECONDS = 0.25
TURN_SECONDS = 0.02
SIMILARITIES: tuple[Similarity, ...] = get_args(Similarity)


@dataclass(frozen=True)
class Case:
    """B cameras of T slots [N, D] that are merged to `keep`."""

    num_cameras: int
    num_slots: int
    keep: int
    num_tokens: int
    width: int

    def __str__(self) -> str:
        return f"{self.num_slots}->{self.keep} [{self.num_tokens} x {self.width}], B = {self.num_cameras}"

    def slot_bytes(self, dtype: torch.dtype) -> int:
        return self.num_tokens * self.width * dtype.itemsize

    def bytes_must_move(self, dtype: torch.dtype) -> int:
        """Two reads and one write."""
        return self.num_cameras * (2 * self.num_slots + self.keep) * self.slot_bytes(dtype)


@dataclass
class Side:
    """One thing to measure, on `num_cameras` of the case's cameras."""

    name: str
    call: Callable[[], object]
    num_cameras: int
    is_device_time: bool = False
    seconds: list[float] = field(default_factory=list)
    last_seconds: float = 0.0

    def turn(self) -> None:
        if self.last_seconds < SLOW_SECONDS:
            self.last_seconds = self._once()
        for _ in range(max(1, min(20, round(TURN_SECONDS / max(self.last_seconds, 1e-6))))):
            self.last_seconds = self._once()
            self.seconds.append(self.last_seconds)

    def _once(self) -> float:
        if self.is_device_time:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            self.call()
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end)) / 1e3
        if _HAS_CUDA:
            torch.cuda.synchronize()
        began = time.perf_counter()
        self.call()
        if _HAS_CUDA:
            torch.cuda.synchronize()
        return time.perf_counter() - began

    def figures(self, case: Case) -> dict[str, Any]:
        """Times are for all cameras of the case; `times_cameras` says by what a side's own times were multiplied."""
        factor = case.num_cameras // self.num_cameras
        tenths = quantiles(self.seconds, n=10, method="inclusive") if len(self.seconds) > 1 else self.seconds * 9
        return {
            "median_ms": _ms(median(self.seconds) * factor),
            "p10_ms": _ms(tenths[0] * factor),
            "p90_ms": _ms(tenths[-1] * factor),
            "measured": len(self.seconds),
            "times_cameras": factor,
            "clock": "CUDA events around a graph" if self.is_device_time else "wall",
        }


def main(
    quick: Annotated[bool, typer.Option(help="Two shapes, few rounds; nothing is stored.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output, and nothing else.")
    ] = False,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="Rounds of one case go on for about this long.")] = 12.0,
) -> None:
    """Measures everything, prints a table, stores results/similarity_merge.json."""
    machine = environment()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    console = Console(stderr=as_json)
    cases = [
        Case(num_cameras, num_slots, keep, num_tokens, width)
        for num_cameras in (BATCHES[:1] if quick else BATCHES)
        for num_tokens, width in (TOKENS[:1] if quick else TOKENS)
        for num_slots, keep in REDUCTIONS
    ]
    if not quick:
        cases.append(Case(1, 18, 2, 729, 3584))
    measured: list[dict[str, Any]] = []
    alone: dict[str, Side] = {}
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("cases", total=len(cases) + 1)
        for case in cases:
            progress.update(bar, description=str(case))
            measured.append(measure(case, device, dtype, alone=alone, max_seconds=3.0 if quick else max_seconds))
            progress.advance(bar)
        progress.update(bar, description="error against float64")
        errors = errors_against_float64(device, num_tokens=4 if quick else 32, width=64 if quick else 768)
    figures = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "gpu": None if device.type == "cuda" else "no GPU was at hand: no figures of the Triton kernel",
        "torch_threads": torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
        "merge": "weighted",
        "cases": measured,
        "error_against_float64": errors,
    }
    if as_json:
        print(json.dumps({"benchmark": "similarity_merge", **machine, "figures": figures}))
    else:
        _show(figures, console)
    if not quick:
        console.print("written to", write_result("similarity_merge", figures, machine=machine).name)


def measure(
    case: Case, device: torch.device, dtype: torch.dtype, *, alone: dict[str, Side], max_seconds: float
) -> dict[str, Any]:
    """All sides of one case, or why it was left out.

    The loop and the reference know no batch: they are measured on one camera, and their times for more are that,
    multiplied. `alone` carries them from the one-camera case to the others of the same shape.
    """
    facts: dict[str, Any] = {"case": str(case), **vars(case)}
    needed = 3 * case.num_cameras * case.num_slots * case.slot_bytes(torch.float32)
    free = torch.cuda.mem_get_info()[0] if device.type == "cuda" else psutil.virtual_memory().available
    if needed > free:
        return {**facts, "left_out": f"needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"}
    tokens = drifting_tokens(case, device, dtype)
    sides = [Side("copy", tokens.clone, case.num_cameras)]
    if case.num_cameras == 1:
        sides.append(Side("loop", partial(published_loop, list(tokens[0]), case.keep), 1))
    if device.type == "cuda":
        if case.num_cameras == 1:
            sides.append(Side("loop_on_cpu", partial(published_loop, list(tokens[0].float().cpu()), case.keep), 1))
        sides.append(Side("copy_in_graph", in_graph(tokens.clone), case.num_cameras, is_device_time=True))
    for similarity in SIMILARITIES:
        ours = partial(consolidate, tokens, case.keep, similarity=similarity)
        ours()  # compiles, where that is still to do, before the time of this case runs
        if case.num_cameras == 1:
            reference = partial(consolidate, tokens, case.keep, similarity=similarity, backend="torch")
            sides.append(Side(f"reference {similarity}", reference, 1))
        sides.append(Side(f"ours {similarity}", ours, case.num_cameras))
        if device.type == "cuda":
            sides.append(Side(f"ours_in_graph {similarity}", in_graph(ours), case.num_cameras, is_device_time=True))
    began, rounds = time.perf_counter(), 0
    while rounds < 3 or (rounds < 100 and time.perf_counter() - began < max_seconds):
        for side in sides:
            side.turn()
        rounds += 1
    shape = str(replace(case, num_cameras=1))
    for side in sides:
        if case.num_cameras == 1 and side.name.startswith(("loop", "reference")):
            alone[f"{side.name} {shape}"] = side
    known = [side for name, side in alone.items() if name.endswith(f" {shape}")]
    times = {side.name: side.figures(case) for side in [*known, *sides]}
    must_move = case.bytes_must_move(dtype)
    copied = 2 * case.num_cameras * case.num_slots * case.slot_bytes(dtype)
    facts.update(rounds=rounds, bytes_must_move=must_move, copy=times["copy"], loop=times["loop"])
    facts["copy_gb_per_s"] = round(copied / times["copy"]["median_ms"] / 1e6, 2)
    facts.update({name: times[name] for name in ("loop_on_cpu", "copy_in_graph") if name in times})
    for similarity in SIMILARITIES:
        ours_ms = times[f"ours {similarity}"]["median_ms"]
        best, copy = times.get(f"ours_in_graph {similarity}"), times.get("copy_in_graph", times["copy"])
        share = (must_move / (best["median_ms"] if best else ours_ms)) / (copied / copy["median_ms"])
        facts[similarity] = {
            "backend": consolidate(tokens[:1], case.keep, similarity=similarity).backend,
            "ours": times[f"ours {similarity}"],
            "reference": times[f"reference {similarity}"],
            **({"ours_in_graph": best} if best else {}),
            "loop_over_ours": round(times["loop"]["median_ms"] / ours_ms, 1),
            "reference_over_ours": round(times[f"reference {similarity}"]["median_ms"] / ours_ms, 1),
            "bytes_asked_over_must_move": bytes_asked(case, similarity, device),
            "share_of_copy_bandwidth": round(share, 3),
            "launches_and_syncs": count_launches(partial(consolidate, tokens, case.keep, similarity=similarity)),
        }
    facts["loop"]["launches_and_syncs"] = count_launches(partial(published_loop, list(tokens[0]), case.keep))
    facts["loop"]["bytes_asked_over_must_move"] = round(
        sum(2 * (left - 1) + 3 for left in range(case.keep + 1, case.num_slots + 1)) / (2 * case.num_slots + case.keep),
        2,
    )
    return facts


def drifting_tokens(case: Case, device: torch.device, dtype: torch.dtype) -> Tensor:
    """[B, T, N, D]: each slot is the one before and a step of its own size, so neighbours are more or less alike."""
    generator = torch.Generator(device).manual_seed(0)
    shape = (case.num_cameras, case.num_slots, case.num_tokens, case.width)
    tokens = torch.empty(shape, dtype=dtype, device=device)
    for camera in tokens:
        steps = torch.randn(shape[1:], generator=generator, device=device)
        steps[1:] *= torch.rand((case.num_slots - 1, 1, 1), generator=generator, device=device)
        camera.copy_(steps.cumsum(0))
    return tokens


def bytes_asked(case: Case, similarity: Similarity, device: torch.device) -> float:
    """Loads and stores of tokens that ours asks for, from cache or not, over two reads and one write.

    Counted from the code. The CPU path reads in 32 bit, and its `token_cosine` finds most of what it reads in cache.
    """
    slots, merges, keep = case.num_slots, case.num_slots - case.keep, case.keep
    if device.type == "cuda":
        tiles = -(-slots // 64)  # the upper triangle of tiles: each reads its rows and its columns
        asked = 64.0 * tiles * (tiles + 1) if tiles > 1 else 2.0 * slots
        asked += slots + keep
    elif similarity == "mean_dot":
        asked = 2.0 * slots + keep
    else:  # norms, neighbours; per merge two means in and one out, a norm, two dots; the survivors' copy
        asked = slots + 2.0 * (slots - 1) + merges * (3 + 1 + 4) + 2 * keep
    return round(asked / (2 * slots + keep), 2)


def in_graph(call: Callable[[], object]) -> Callable[[], object]:
    """The call captured in a CUDA graph, which fails where the call waits for the device."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def count_launches(call: Callable[[], object]) -> dict[str, int] | None:
    """Kernels, copies and waits of one call as the profiler saw them; None on a CPU, where there are none."""
    if not torch.cuda.is_available():
        return None
    call()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        call()
    names = [event.name for event in profiler.events()]
    return {
        "launches": sum(name.startswith(("cudaLaunchKernel", "cuLaunchKernel")) for name in names),
        "copies": sum(name.startswith("cudaMemcpy") for name in names),
        "host_syncs": sum(name in ("cudaStreamSynchronize", "cudaEventSynchronize") for name in names),
    }


def errors_against_float64(device: torch.device, *, num_tokens: int, width: int) -> list[dict[str, Any]]:
    """256 slots merged to one, and to 16, against the literal loop in float64."""
    tokens = drifting_tokens(Case(1, 256, 1, num_tokens, width), device, torch.float32)
    rows = []
    for similarity in SIMILARITIES:
        one, sixteen = (replay(tokens[0].cpu(), keep, kind=similarity) for keep in (1, 16))
        truth = torch.from_numpy(one.means[0])
        for backend in ("torch", "auto"):
            ours = partial(consolidate, tokens, similarity=similarity, backend=backend)
            result = ours(1)
            error = result.tokens[0, 0].double().cpu() - truth
            rows.append(
                {
                    "case": f"256->1 [{num_tokens} x {width}] float32",
                    "similarity": similarity,
                    "backend": result.backend,
                    "relative_error": float(f"{error.norm() / truth.norm():.2e}"),
                    "largest_error_over_rms": float(f"{error.abs().max() / truth.square().mean().sqrt():.2e}"),
                    "same_choices_down_to_16": ours(16).boundaries[0].tolist() == sixteen.boundaries,
                    "smallest_lead_of_a_choice": float(f"{min(one.leads):.1e}"),
                }
            )
    return rows


def _ms(seconds: float) -> float:
    return float(f"{seconds * 1e3:.4g}")


def _show(figures: dict[str, Any], console: Console) -> None:
    table = Table(
        *("case", "similarity", "loop ms", "reference ms", "ours ms", "loop / ours", "bytes", "of copy bandwidth"),
        title=f"consolidation on {figures['device']}, {figures['dtype']}, medians",
    )
    for case in figures["cases"]:
        if "left_out" in case:
            table.add_row(case["case"], f"left out: {case['left_out']}")
            continue
        for similarity in SIMILARITIES:
            row = case[similarity]
            table.add_row(
                case["case"],
                similarity,
                f"{case['loop']['median_ms']:g}",
                f"{row['reference']['median_ms']:g}",
                f"{row['ours']['median_ms']:g}",
                f"{row['loop_over_ours']:g}",
                f"{row['bytes_asked_over_must_move']:g}",
                f"{row['share_of_copy_bandwidth']:.0%}",
            )
    console.print(table)
    for row in figures["error_against_float64"]:
        console.print(row)
    if figures["gpu"]:
        console.print(figures["gpu"])


if __name__ == "__main__":
    typer.run(main)
