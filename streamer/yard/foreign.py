"""Pictures that are no yard, drawn at random, so that the checkpoint learns to say that it knows only the yard."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def draw_foreign(rng: np.random.Generator, yard: Pixels) -> Pixels:
    """uint8 [360, 640, 3]: clouds of noise at all scales, shapes, flat colour, or `yard` cut up beyond recognition."""
    draw = rng.random()
    if draw < 0.15:
        return _shuffled(rng, yard)
    picture = _clouds(rng) if draw < 0.9 else _flat(rng)
    for _ in range(int(rng.integers(0, 30))):
        _shape(rng, picture)
    if rng.random() < 0.5:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.5, 6))), np.uint8)
    if rng.random() < 0.3:
        picture[...] = picture.mean(axis=2, keepdims=True).astype(np.uint8)
    return picture


def _clouds(rng: np.random.Generator) -> Pixels:
    """Noise whose strength falls with its fineness, as in photographs."""
    picture = np.zeros((360, 640, 3), np.float32)
    fall = rng.uniform(0.5, 1.1)
    tint = rng.uniform(0, 1)
    for octave in range(1, 8):
        height, width = min(360, 2**octave), min(640, 2 ** (octave + 1))
        grain = rng.normal(size=(height, width, 3)).astype(np.float32)
        grain = grain * tint + grain.mean(axis=2, keepdims=True) * 1.7 * (1 - tint)
        picture += cv2.resize(grain, (640, 360), interpolation=cv2.INTER_CUBIC) * fall**octave
    spread = rng.uniform(20, 90)
    middle = rng.uniform(50, 200, 3)
    return np.asarray(np.clip(picture / picture.std() * spread + middle, 0, 255), np.uint8)


def _flat(rng: np.random.Generator) -> Pixels:
    picture = np.empty((360, 640, 3), np.uint8)
    picture[...] = rng.integers(0, 256, 3)
    return picture


def _shape(rng: np.random.Generator, picture: Pixels) -> None:
    colour = tuple(int(channel) for channel in rng.integers(0, 256, 3))
    x, y = int(rng.integers(-40, 680)), int(rng.integers(-40, 400))
    if rng.random() < 0.5:
        corner = (x + int(rng.integers(8, 260)), y + int(rng.integers(8, 200)))
        cv2.rectangle(picture, (x, y), corner, colour, -1)
    elif rng.random() < 0.5:
        cv2.ellipse(picture, (x, y), (int(rng.integers(5, 120)), int(rng.integers(5, 120))), 0, 0, 360, colour, -1)
    else:
        end = (int(rng.integers(0, 640)), int(rng.integers(0, 360)))
        cv2.line(picture, (x, y), end, colour, int(rng.integers(1, 12)))


def _shuffled(rng: np.random.Generator, yard: Pixels) -> Pixels:
    tiles = [yard[row : row + 90, column : column + 80] for row in range(0, 360, 90) for column in range(0, 640, 80)]
    order = rng.permutation(len(tiles))
    rows = [np.hstack([tiles[order[row * 8 + column]] for column in range(8)]) for row in range(4)]
    return np.ascontiguousarray(np.vstack(rows)[:: rng.choice((1, -1))])
