"""Moments to be kept, whose tokens say which scene they show."""

from __future__ import annotations

import numpy as np
import torch

from memory import EncoderKind, Moment, quantise

ENCODER = EncoderKind("tests", 4, 8)
START = 1_000_000.0


def tokens_of(scene: int, *, noise: float = 0.0) -> torch.Tensor:
    """[4, 8]; another scene is at right angles nearly everywhere."""
    rng = np.random.default_rng(scene)
    values = torch.from_numpy(rng.standard_normal((4, 8))).float()
    return values + noise * torch.from_numpy(np.random.default_rng(scene + 1).standard_normal((4, 8))).float()


def moment(
    number: int,
    *,
    scene: int | None = None,
    seconds: float = 4.0,
    gap_before: bool = False,
    picture: bytes = b"jpeg",
    noise: float = 0.0,
) -> Moment:
    """The `number`th from START on, each `seconds` long and half a second before the next."""
    start_seconds = START + number * (seconds + 0.5)
    (kept,) = quantise(tokens_of(number if scene is None else scene, noise=noise)[None])
    return Moment(number, start_seconds, start_seconds + seconds, 9, gap_before, kept, picture)
