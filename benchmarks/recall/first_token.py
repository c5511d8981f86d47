"""From asking to the first word, by how long a camera has been watched."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import bundled
from benchmarks.recall.later import OTHERS_SECONDS, others_seen, read_others
from llm.huggingface import HuggingFaceModel
from memory import Archive, Memory, Moment
from streamer.archiving import MOST_RESTORED
from streamer.model_memory import kind_of
from streamer.yard.exam import memory_for
from streamer.yard.sightings import Sighting, remember

WATCHED_SECONDS = (60.0, 300.0, 3600.0, 86_400.0)
QUESTION, NUM_ASKED, APART_SECONDS = "Is the gate open?", 25, 2.0


def first_tokens(cache: Path) -> dict[str, dict[str, Any]]:
    """By seconds watched: median milliseconds to the first word, and slots of the prompt.

    In a process of `harness.processes`, after `write_others`. What is longer ago than the others' four hours is in
    long-term memory as at a start; the last minute is seen live. The lengths take turns, so that a noisy machine is
    noisy for all of them.
    """
    model = bundled()
    seen = others_seen(model, cache)
    now_seconds = seen[-1].time_seconds
    memories = {}
    for watched in WATCHED_SECONDS:
        memory = memory_for(model)
        live_seconds = watched
        if watched > OTHERS_SECONDS:
            _restore(model, memory, read_others(cache), now_seconds - watched, now_seconds - 60)
            live_seconds = 60.0
        remember(memory, _newest(seen, now_seconds - live_seconds))
        memories[watched] = memory
    times: dict[float, list[float]] = {watched: [] for watched in WATCHED_SECONDS}
    slots: dict[float, int] = {}
    for number in range(NUM_ASKED):
        for watched, memory in memories.items():
            seconds, slots[watched] = _first_token(model, memory, now_seconds + APART_SECONDS * number)
            times[watched].append(seconds)
    return {
        f"{watched:.0f}": {"first_token_ms": round(1000 * median(times[watched]), 2), "slots": slots[watched]}
        for watched in WATCHED_SECONDS
    }


def _newest(seen: Sequence[Sighting], since_seconds: float) -> list[Sighting]:
    """From then on, beginning with what was to be seen then."""
    before = [each for each in seen if each.tokens is not None and each.time_seconds <= since_seconds]
    first = replace(before[-1], time_seconds=since_seconds)
    return [first, *(each for each in seen if each.time_seconds > since_seconds)]


def _restore(
    model: HuggingFaceModel, memory: Memory, others: Sequence[Moment], since_seconds: float, until_seconds: float
) -> None:
    """The others over and over, until `until_seconds`."""
    with tempfile.TemporaryDirectory() as folder, Archive(Path(folder), encoder=kind_of(model)) as archive:
        for turn in count():
            by_seconds = since_seconds + turn * OTHERS_SECONDS - others[0].start_seconds
            again = [
                replace(each, start_seconds=each.start_seconds + by_seconds, end_seconds=each.end_seconds + by_seconds)
                for each in others
                if each.end_seconds + by_seconds < until_seconds
            ]
            if not again:
                break
            archive.add("yard", again, now_seconds=until_seconds)
        memory.restore(0, archive.newest("yard", most=MOST_RESTORED, until_seconds=until_seconds))


def _first_token(model: HuggingFaceModel, memory: Memory, now_seconds: float) -> tuple[float, int]:
    """(seconds, slots of the prompt)."""
    began = time.perf_counter()
    slots = model.max_slots(QUESTION, camera="yard", reach=memory.reach(0, now_seconds=now_seconds))
    evidence = memory.recall(0, now_seconds=now_seconds, max_slots=slots)
    for piece in model.answer(evidence, QUESTION, camera="yard", max_new_tokens=4):
        if piece.is_token:
            break
    return time.perf_counter() - began, len(evidence.slots)
