"""Kills an agent with SIGKILL at random instants, again and again on one archive, and looks for what is missing.

`python -m benchmarks.bench_crash [--kills 200] [--json]`. This process has the record of what was consolidated; the
archive must open every time, and have all of it that is older than the ring.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from benchmarks.crash.agent import FPS
from benchmarks.harness import environment, write_result
from memory import Archive, ArchiveError, EncoderKind, ShortTermMemory

SEED = 7
WRITTEN_WITHIN_SECONDS = 2.0
FIRST_LINE_SECONDS, MOST_SECONDS = 120.0, 8.0
RING_SECONDS = ShortTermMemory(1, num_tokens=1, width=1).capacity_frames / FPS
_NO_ENCODER = EncoderKind("none of ours", 1, 1)
_err = Console(stderr=True)


@dataclass(frozen=True)
class Told:
    """A moment that the agent said it had consolidated, and when this process heard of it, in its own seconds."""

    camera: str
    start_seconds: float
    end_seconds: float
    heard_seconds: float


def main(
    kills: Annotated[int, typer.Option(help="How often the agent is killed.", min=1)] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="One object on standard output; nothing is stored.")] = False,
) -> None:
    """Measures, and writes benchmarks/results/crash.json."""
    machine, rng = environment(), random.Random(SEED)
    record: list[Told] = []
    failures, late, lost, num_told, seconds = 0, 0, 0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for _ in track(range(kills), "kills", console=_err):
            told, killed = kill_one(Path(folder), after_seconds=rng.uniform(0.0, MOST_SECONDS))
            record += told
            num_told += len(told)
            try:
                missing = absent(Path(folder), record)
            except ArchiveError as error:
                _err.print(str(error))
                failures += 1
                continue
            late += sum(killed - each.heard_seconds > WRITTEN_WITHIN_SECONDS for each in missing)
            newest = max((each.end_seconds for each in told), default=0.0)
            lost += sum(each.end_seconds < newest - RING_SECONDS for each in missing)
            seconds += killed - told[0].heard_seconds if told else 0.0
            record = [each for each in record if each not in missing]  # counted once
    figures: dict[str, Any] = {
        "kills": kills,
        "open_failures": failures,
        "moments_lost_beyond_ring": lost,
        "moments_not_written_within_2_s": late,
        "moments_told": num_told,
        "ring_seconds": round(RING_SECONDS, 1),
        "seconds_watched": round(seconds, 1),
        "seed": SEED,
    }
    if as_json:
        print(json.dumps({name: figures[name] for name in ("kills", "open_failures", "moments_lost_beyond_ring")}))
        return
    Console().print(figures)
    _err.print("written to", write_result("crash", figures, machine=machine).name)


def kill_one(folder: Path, *, after_seconds: float) -> tuple[list[Told], float]:
    """What an agent told until it was killed, so long after its first moment; and when, in this process's seconds."""
    agent = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.crash.agent", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert agent.stdout is not None
    has_told, told = threading.Event(), list[Told]()

    def hear(lines: Iterator[str]) -> None:
        for line in lines:
            if line.endswith("\n"):  # else it was killed in the midst of it
                told.append(Told(**json.loads(line), heard_seconds=time.monotonic()))
                has_told.set()

    hearing = threading.Thread(target=hear, args=(agent.stdout,))
    hearing.start()
    try:
        if not has_told.wait(FIRST_LINE_SECONDS):
            raise RuntimeError(f"the agent told nothing within {FIRST_LINE_SECONDS:.0f} s; run it by hand to see why")
        time.sleep(after_seconds)
    finally:
        agent.kill()
        killed_seconds = time.monotonic()
        agent.wait()
        hearing.join()
        agent.stdout.close()
    return told, killed_seconds


def absent(folder: Path, record: Sequence[Told]) -> list[Told]:
    """Those of `record` that no row of the archive covers. Raises: ArchiveError."""
    spans: dict[str, list[tuple[float, float]]] = {}
    with Archive(folder, encoder=_NO_ENCODER) as archive:
        for camera in {each.camera for each in record}:
            kept = archive.newest(camera, most=1_000_000, until_seconds=float("inf"))
            spans[camera] = [(each.start_seconds, each.end_seconds) for each in kept]
    return [
        each
        for each in record
        if not any(start <= each.start_seconds and each.end_seconds <= end for start, end in spans[each.camera])
    ]


if __name__ == "__main__":
    typer.run(main)
