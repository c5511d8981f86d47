"""Memories of training worlds as an agent fills them, and what a question at some moments would be answered from.

Frames are encoded by fixed eyes, consolidated and recalled by the same code that an agent runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from encoders import VisionEncoder
from memory import Evidence, EvidenceSlot, Gap, Memory
from streamer.yard.questions import draw_moment
from streamer.yard.sightings import Sightings, remember
from streamer.yard.watched import Watched, watch
from streamer.yard.world import World, YardState

_Spanning = TypeVar("_Spanning", EvidenceSlot, Gap)
SAMPLING_FPS = (2.0, 2.0, 1.0, 1.0, 0.5)
SPAN_SECONDS = (40.0, 5400.0)
NUM_SNAPSHOTS = 12
GAP_SHARE = 0.12
LIVELY_SHARE = 0.4
MAX_SLOTS = (12, 24, 40, 62)


@dataclass(frozen=True)
class Snapshot:
    """What a question at `evidence.now_seconds` is answered from, and what of the world it could see.

    evidence      its tokens in float16
    has_gap       something was not observed: only what is there now can be asked fairly
    late_seconds  how much later than in its world all of it is said to have been
    """

    world: World
    since_seconds: float
    evidence: Evidence
    has_gap: bool
    late_seconds: float = 0.0

    @cached_property
    def watched(self) -> Watched:
        """The truth of what memory covers."""
        late = self.late_seconds
        return watch(self.world, self.since_seconds - late, self.evidence.now_seconds - late).later(late)

    @property
    def state(self) -> YardState:
        """What is there now."""
        return self.world.state_at(self.evidence.now_seconds - self.late_seconds)

    def later(self, seconds: float) -> Snapshot:
        """The same as if it had been `seconds` later, so that no time of a world can be learned by heart."""
        before = self.evidence
        evidence = replace(
            before,
            now_seconds=before.now_seconds + seconds,
            slots=tuple(_later(slot, seconds) for slot in before.slots),
            gaps=tuple(_later(gap, seconds) for gap in before.gaps),
            newest_seconds=None if before.newest_seconds is None else before.newest_seconds + seconds,
        )
        return replace(
            self,
            since_seconds=self.since_seconds + seconds,
            evidence=evidence,
            late_seconds=self.late_seconds + seconds,
        )

    def newest(self, num_slots: int) -> Snapshot:
        """The same of a memory that began with the `num_slots` newest of its slots."""
        slots = self.evidence.slots[-num_slots:]
        if len(slots) == len(self.evidence.slots):
            return self
        since_seconds = slots[0].start_seconds
        gaps = tuple(gap for gap in self.evidence.gaps if gap.end_seconds > since_seconds)
        evidence = replace(self.evidence, slots=slots, tokens=self.evidence.tokens[-num_slots:], gaps=gaps)
        return replace(self, since_seconds=since_seconds, evidence=evidence, has_gap=self.has_gap and bool(gaps))


def _later(span: _Spanning, seconds: float) -> _Spanning:
    return replace(span, start_seconds=span.start_seconds + seconds, end_seconds=span.end_seconds + seconds)


def draw_history(
    encoder: VisionEncoder, rng: np.random.Generator, *, seed: int, spans_seconds: tuple[float, float] = SPAN_SECONDS
) -> Iterator[Snapshot]:
    """Snapshots of one world's memory, from a moment of a day of 2026 on, for up to an hour and a half."""
    world = World(seed, lively=bool(rng.random() < LIVELY_SHARE))
    day_seconds = datetime(2026, 1, 1).timestamp() + float(rng.uniform(1, 364)) * 86_400
    low, high = (math.log(seconds) for seconds in spans_seconds)
    span_seconds = math.exp(rng.uniform(low, high))
    moment_seconds = draw_moment(world, day_seconds, rng)
    since_seconds = moment_seconds - span_seconds * float(rng.uniform(0.1, 1.0))
    until_seconds = since_seconds + span_seconds
    asked = sorted(_draw_asked(world, since_seconds, until_seconds, rng) for _ in range(NUM_SNAPSHOTS))
    gap = None
    if rng.random() < GAP_SHARE:
        start_seconds = since_seconds + span_seconds * float(rng.uniform(0.1, 0.8))
        gap = (start_seconds, start_seconds + span_seconds * float(rng.uniform(0.02, 0.15)))
    memory = Memory(1, num_tokens=encoder.num_tokens, width=encoder.width, max_slots=max(MAX_SLOTS))
    sightings = Sightings(world, encoder, fps=float(rng.choice(SAMPLING_FPS)), gap=gap)
    for now_seconds in asked:
        remember(memory, sightings.between(max(since_seconds, sightings.next_seconds or since_seconds), now_seconds))
        if gap is not None and gap[0] <= now_seconds <= gap[1] + 5:
            continue
        evidence = memory.recall(0, now_seconds=now_seconds, max_slots=int(rng.choice(MAX_SLOTS)))
        kept = replace(evidence, tokens=evidence.tokens.to(torch.float16).clone())
        yield Snapshot(world, since_seconds, kept, has_gap=gap is not None and gap[0] < now_seconds)


def save_history(snapshots: list[Snapshot], path: Path) -> None:
    half_written = path.with_suffix(".part")
    torch.save(snapshots, half_written)
    half_written.replace(path)


def load_history(path: Path) -> list[Snapshot]:
    """Of a folder that this training wrote itself."""
    loaded: Any = torch.load(path, weights_only=False)
    return list(loaded)


def _draw_asked(world: World, since_seconds: float, until_seconds: float, rng: np.random.Generator) -> float:
    """Any moment, or one at which something is there or was just now."""
    earliest = min(since_seconds + 8.0, until_seconds)
    events = world.events(since_seconds, until_seconds)
    if events and rng.random() < 0.6:
        event = events[int(rng.integers(len(events)))]
        drawn = float(rng.uniform(event.start_seconds + 3, min(event.end_seconds, event.start_seconds + 300) + 45))
        return min(max(drawn, earliest), until_seconds)
    return float(rng.uniform(earliest, until_seconds))
