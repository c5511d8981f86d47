"""What is filmed: a busy yard, a still one, and a counter; drawn and encoded as a camera would; knows no measuring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.rig.clips import Clip, encode, stamp

__all__ = ["COUNTED", "FPS", "SECONDS", "SIZES", "counter_clip", "scene_clip"]

FPS = 15
SECONDS = 4  # of a scene; the server plays it again and again
COUNTED = 300  # pictures of the counter: 20 s, longer than any lag that is to be told apart
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
_MEGABITS = {"720p": 2, "1080p": 4}
_PEOPLE = 10


def scene_clip(folder: Path, scene: str, size: str) -> Path:
    """A clip of "busy" or "still" at "720p" or "1080p": H.264, a key frame every 2 s, at a camera's usual bit rate."""
    width, height = SIZES[size]
    rate = f"{_MEGABITS[size]}M"
    options = {
        "preset": "veryfast",
        "g": str(2 * FPS),
        "sc_threshold": "0",
        "bf": "0",
        "crf": "21",
        "maxrate": rate,
        "bufsize": rate,
    }
    pictures = _pictures(width, height, is_busy=scene == "busy")
    clip = Clip(width=width, height=height, fps=FPS, options=options)
    return encode(folder / f"{scene}-{size}.mp4", pictures, clip)


def counter_clip(folder: Path) -> Path:
    """720p whose pictures carry their number, 20 s long."""
    width, height = SIZES["720p"]
    ground = np.asarray(cv2.resize(_texture(90, 160), (width, height)), np.uint8)

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for number in range(COUNTED):
            pixels = ground.copy()
            _person(pixels, 40 + 4 * number % (width - 120), height // 5, 1.0)
            stamp(pixels, number)
            yield pixels

    options = {"preset": "ultrafast", "g": str(2 * FPS), "bf": "0"}
    return encode(folder / "counter.mp4", pictures(), Clip(width=width, height=height, fps=FPS, options=options))


def _pictures(width: int, height: int, *, is_busy: bool) -> Iterator[NDArray[np.uint8]]:
    """A textured yard under sensor noise; busy: its upper half waves in the wind, and ten people walk."""
    rng = np.random.default_rng(1)
    ground = np.asarray(cv2.resize(_texture(height // 2, width // 2), (width, height)), np.uint8)
    noise = [rng.normal(0, 1.5, (height, width, 1)).round().astype(np.int8) for _ in range(4)]
    wind = _Wind(ground[: height // 2])
    for index in range(SECONDS * FPS):
        pixels = ground.copy()
        if is_busy:
            pixels[: height // 2] = wind.at(index)
            for person in range(_PEOPLE):
                x = (person * width // _PEOPLE + (3 + person % 4) * index) % (width - 120)
                _person(pixels, x, height // 3 + person * height // 30, 0.6 + person / _PEOPLE)
        rolled = np.roll(noise[index % 4], 37 * index, axis=1)
        yield np.asarray(cv2.add(pixels, np.repeat(rolled, 3, axis=2), dtype=cv2.CV_8U), np.uint8)


class _Wind:
    """Leaves that sway, each branch by itself, by parts of a pixel."""

    def __init__(self, leaves: NDArray[np.uint8]) -> None:
        height, width = leaves.shape[:2]
        self._leaves = leaves
        self._x, self._y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._phase = np.sin(self._x / 47) * 3 + np.cos(self._y / 31) * 3

    def at(self, index: int) -> NDArray[np.uint8]:
        """The leaves of one picture."""
        x = self._x + (4 * np.sin(self._phase + 0.7 * index)).astype(np.float32)
        y = self._y + (2 * np.cos(self._phase + 0.5 * index)).astype(np.float32)
        return np.asarray(cv2.remap(self._leaves, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8)


def _texture(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    rough = rng.integers(60, 190, (height, width, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(rough, (0, 0), 1.2), np.uint8)


def _person(pixels: NDArray[np.uint8], x: int, y: int, scale: float) -> None:
    wide, high = round(36 * scale), round(110 * scale)
    cv2.rectangle(pixels, (x, y + wide), (x + wide, y + high), (40, 50, 140), -1)
    cv2.circle(pixels, (x + wide // 2, y + wide // 2), wide // 2, (190, 150, 120), -1)
