"""A month of one camera in the archive: bytes per day, how long a write and a recall take, and whether they grow.

`python -m benchmarks.bench_archive [--days 30]`. A day of the yard, sampled twice a second, is seen through the bundled
eyes once and then lived again and again, as fast as it goes.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from benchmarks.harness import bundled, environment, write_result
from memory import Archive
from streamer.archived import MOST_MOMENTS, recall_archived
from streamer.device import DeviceThread
from streamer.model_memory import kind_of
from streamer.picture import encode_jpeg
from streamer.times import Span
from streamer.yard.answers import note
from streamer.yard.exam import memory_for
from streamer.yard.render import render
from streamer.yard.sightings import Sightings
from streamer.yard.world import World

SEED, FPS = 7, 2.0
DAY_SECONDS = 86_400.0
MIDNIGHT = 1_795_305_600.0
MARKS = (1, 7, 30)
NUM_RECALLS, NUM_PICTURES = 200, 48
QUESTIONS = ("Is the gate open?", "Did a dog come?", "Was there smoke?", "What is happening?")
"""Of words that all notes have, many, few and none."""
_err = Console(stderr=True)


@dataclass(frozen=True)
class Seen:
    """One day: when each frame was, of which `tokens` [K, N, W] it has a row (-1: nothing new), and some JPEGs."""

    seconds: list[float]
    rows: list[int]
    tokens: Tensor
    pictures: list[bytes]
    notes: list[str]
    """Of each minute."""


def main(
    days: Annotated[int, typer.Option(help="How many days are lived.", min=1)] = 30,
    day_seconds: Annotated[float, typer.Option(help="How much of each; a trial may take less.")] = DAY_SECONDS,
) -> None:
    """Measures, and writes benchmarks/results/archive.json where whole days were lived."""
    torch.set_num_threads(1)
    machine = environment()
    with Progress(console=_err) as progress, tempfile.TemporaryDirectory() as folder:
        bar = progress.add_task("a day is seen", total=day_seconds)
        seen = see(day_seconds, on_frame=lambda: progress.advance(bar, 1 / FPS))
        bar = progress.add_task("days are lived", total=days)
        marks = []
        for mark in live(Path(folder), seen, days=days):
            progress.advance(bar)
            marks += [mark] if mark else []
    figures: dict[str, Any] = {
        "days": days,
        "frames": days * len(seen.seconds),
        "new_frames_per_day": len(seen.tokens),
        "picture_bytes_mean": round(float(np.mean([len(each) for each in seen.pictures]))),
        "marks": marks,
    }
    if len(marks) > 1:
        figures["recall_p50_last_over_first"] = round(marks[-1]["recall_ms_p50"] / marks[0]["recall_ms_p50"], 2)
    Console().print(figures)
    if day_seconds == DAY_SECONDS:
        _err.print("written to", write_result("archive", figures, machine=machine).name)


def see(day_seconds: float, *, on_frame: Any = lambda: None) -> Seen:
    """The first `day_seconds` of a day of the yard."""
    model, world = bundled(), World(SEED)
    seconds, rows, tokens = [], [], list[Tensor]()
    for sighting in Sightings(world, model.encoder, fps=FPS).between(MIDNIGHT, MIDNIGHT + day_seconds - 1 / FPS):
        on_frame()
        seconds.append(sighting.time_seconds - MIDNIGHT)
        rows.append(-1 if sighting.tokens is None else len(tokens))
        if sighting.tokens is not None:
            tokens.append(sighting.tokens.half())
    at = np.linspace(0, day_seconds, NUM_PICTURES, endpoint=False)
    pictures = [encode_jpeg(render(world.state_at(MIDNIGHT + float(each)))) for each in at]
    minutes = np.arange(0, day_seconds, 60.0)
    notes = [note(world.state_at(MIDNIGHT + float(each))) for each in minutes]
    return Seen(seconds, rows, torch.stack(tokens), pictures, notes)


def live(folder: Path, seen: Seen, *, days: int) -> Iterator[dict[str, Any]]:
    """Day after day into one memory and one archive; after each of `MARKS` what it took, after the others nothing."""
    model = bundled()
    memory = memory_for(model)
    with Archive(folder, encoder=kind_of(model)) as archive:
        writes = array("d")
        for day in range(days):
            for number, (offset, row) in enumerate(zip(seen.seconds, seen.rows, strict=True)):
                now = MIDNIGHT + day * DAY_SECONDS + offset
                if row < 0:
                    memory.extend(0, start_seconds=now, end_seconds=now)
                else:
                    picture = seen.pictures[row % len(seen.pictures)]
                    memory.push(0, seen.tokens[row], time_seconds=now, picture=picture)
                if number % int(FPS):
                    continue
                for _, moments in memory.moments(memory.consolidate([now])):
                    began = time.perf_counter()
                    moment_ids = archive.add("yard", moments, now_seconds=now)
                    for moment_id in moment_ids:
                        archive.set_note(moment_id, seen.notes[int(offset // 60)])
                    writes.append(time.perf_counter() - began)
            yield {"day": day + 1, **_mark(archive, folder, writes, now)} if day + 1 in MARKS else {}


async def _recalls(folder: Path, times: NDArray[np.float64]) -> list[float]:
    """Seconds of each."""
    seconds = []
    async with DeviceThread() as device:
        for number, at in enumerate(times):
            question, began = QUESTIONS[number % len(QUESTIONS)], time.perf_counter()
            await recall_archived(bundled(), device, folder, "yard", question, Span(float(at)))
            seconds.append(time.perf_counter() - began)
    return seconds


def _mark(archive: Archive, folder: Path, writes: Sequence[float], now_seconds: float) -> dict[str, Any]:
    times = np.random.default_rng(SEED).uniform(MIDNIGHT + 60, now_seconds, NUM_RECALLS)
    recalls = asyncio.run(_recalls(folder, times))
    host_bytes = psutil.Process().memory_info().rss
    all_of_it = archive.newest("yard", most=10_000_000, until_seconds=now_seconds)
    starts = [moment.start_seconds for moment in all_of_it]
    with_log = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "used_bytes": archive.used_bytes,
        "bytes_on_disk": with_log,
        "moments": len(starts),
        "moments_looked_at_p50": int(np.median(np.minimum(np.searchsorted(starts, times), MOST_MOMENTS))),
        "writes": len(writes),
        **_percentiles("write_ms", writes),
        **_percentiles("recall_ms", recalls),
        "host_bytes": host_bytes,
    }


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p{part}": round(float(np.percentile(seconds, part)) * 1e3, 2) for part in (50, 99)}


if __name__ == "__main__":
    typer.run(main)
