"""What a camera on a world gives memory: sampled, still ones told from new ones, and encoded; it knows no memory.

Stillness is taken from the truth, which costs less than to draw and compare pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from encoders import VisionEncoder
from memory import Memory
from streamer.look import HEARTBEAT_SECONDS
from streamer.yard.render import render
from streamer.yard.world import World, YardState

_CHUNK = 64


@dataclass(frozen=True)
class Sighting:
    """One sampled frame.

    tokens             [N, W]; None where it shows what the one before showed
    gap_start_seconds  when the frame before was, where nothing was observed since
    """

    time_seconds: float
    tokens: Tensor | None
    gap_start_seconds: float | None = None


class Sightings:
    """A camera's sightings of one world, as time goes on."""

    def __init__(
        self, world: World, encoder: VisionEncoder, *, fps: float, gap: tuple[float, float] | None = None
    ) -> None:
        self.next_seconds: float | None = None
        self._world = world
        self._encoder = encoder
        self._step_seconds = 1.0 / fps
        self._gap = gap
        self._shown: object = None
        self._pixels_seconds = -math.inf
        self._last_seconds: float | None = None

    def between(self, start_seconds: float, until_seconds: float) -> Iterator[Sighting]:
        """Those from `start_seconds` to `until_seconds`."""
        if start_seconds > until_seconds:
            return
        num_frames = int((until_seconds - start_seconds) / self._step_seconds) + 1
        times = [start_seconds + index * self._step_seconds for index in range(num_frames)]
        self.next_seconds = times[-1] + self._step_seconds
        for first in range(0, len(times), _CHUNK):
            yield from self._chunk([seconds for seconds in times[first : first + _CHUNK] if not self.misses(seconds)])

    def misses(self, seconds: float) -> bool:
        """True in the gap."""
        return self._gap is not None and self._gap[0] <= seconds <= self._gap[1]

    def _chunk(self, times: list[float]) -> Iterator[Sighting]:
        states = [self._world.state_at(seconds) for seconds in times]
        is_new = [self._shows_news(state) for state in states]
        pictures = [render(state) for state, new in zip(states, is_new, strict=True) if new]
        tokens = iter(self._encoder.encode(pictures)) if pictures else iter(())
        for seconds, new in zip(times, is_new, strict=True):
            last_seconds, self._last_seconds = self._last_seconds, seconds
            gap_start_seconds = None
            if self._gap is not None and last_seconds is not None and last_seconds < self._gap[0] < seconds:
                gap_start_seconds = last_seconds
            yield Sighting(seconds, next(tokens) if new else None, gap_start_seconds)

    def _shows_news(self, state: YardState) -> bool:
        shown = (
            tuple((thing.kind, thing.colour, round(thing.x), round(thing.y), thing.facing) for thing in state.things),
            state.gate_open,
            state.lamp_on,
            round(20 * state.daylight),
        )
        is_after_gap = self._gap is not None and self._pixels_seconds < self._gap[0] < state.time_seconds
        is_fresh = state.time_seconds - self._pixels_seconds < HEARTBEAT_SECONDS
        if shown == self._shown and is_fresh and not is_after_gap:
            return False
        self._shown, self._pixels_seconds = shown, state.time_seconds
        return True


def remember(memory: Memory, sightings: Iterable[Sighting]) -> None:
    """Into the memory's camera 0, with a consolidation after each."""
    for sighting in sightings:
        seconds = sighting.time_seconds
        if sighting.tokens is None:
            memory.extend(0, start_seconds=seconds, end_seconds=seconds)
        else:
            memory.push(0, sighting.tokens, time_seconds=seconds, gap_start_seconds=sighting.gap_start_seconds)
        memory.consolidate([seconds])
