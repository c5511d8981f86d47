"""What a camera saw of a world, encoded once and kept on disk: every policy replays the same frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from encoders import VisionEncoder
from streamer.yard.sightings import Sighting, Sightings
from streamer.yard.world import World

__all__ = ["sightings_of"]


def sightings_of(
    world: World, encoder: VisionEncoder, *, since_seconds: float, until_seconds: float, fps: float, cache: Path
) -> list[Sighting]:
    """From `cache`, or drawn, encoded and written there; the cache belongs to one checkpoint."""
    file = cache / f"{world.seed}-{since_seconds:.0f}-{until_seconds:.0f}.npz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        sightings = list(Sightings(world, encoder, fps=fps).between(since_seconds, until_seconds))
        half_written = file.with_suffix(".part.npz")
        new = [sighting for sighting in sightings if sighting.tokens is not None]
        np.savez(
            half_written,
            times=np.array([sighting.time_seconds for sighting in sightings]),
            is_new=np.array([sighting.tokens is not None for sighting in sightings]),
            tokens=np.stack([_half(sighting) for sighting in new]),
        )
        half_written.replace(file)
    return list(_read(file))


def _half(sighting: Sighting) -> np.ndarray:
    assert sighting.tokens is not None
    return np.asarray(sighting.tokens.to(torch.float16).numpy(force=True))


def _read(file: Path) -> Iterator[Sighting]:
    with np.load(file) as kept:
        times, is_new, tokens = kept["times"], kept["is_new"], torch.from_numpy(kept["tokens"]).float()
    place = 0
    for seconds, new in zip(times.tolist(), is_new.tolist(), strict=True):
        yield Sighting(seconds, tokens[place] if new else None)
        place += new
