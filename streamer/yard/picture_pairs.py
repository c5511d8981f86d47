"""Pictures to learn to see from: two moments of one yard each, with what stands where in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from encoders import Preprocessing
from streamer.yard.foreign import draw_foreign
from streamer.yard.lessons import FOREIGN_SHARE, draw_scene, weathered
from streamer.yard.render import render
from streamer.yard.things import HEIGHT, WIDTH, YardState, named
from streamer.yard.watched import NAMED
from streamer.yard.world import World

HARD_TO_SEE = ("person", "dog", "truck", "fallen bicycle", "climber", "smoke")
HARD_SHARE, HARD_TRIES = 0.75, 3
"""For so many pairs a moment with one of these is looked for, so often: they are small, or seldom there."""
NEAR_SECONDS, APART_SECONDS = (0.5, 4.0), (4.0, 60.0)
_SWITCHES = torch.tensor([0.5, 0.25, 0.25])
"""What a difference of gate, lamp and night counts, where a thing counts 1."""
NUM_SWITCHES = len(_SWITCHES)
NUM_CONTENTS = len(NAMED) + NUM_SWITCHES
"""All that a picture can show: a thing of each name, and the switches."""
_TALL = {
    "person": 96,
    "dog": 50,
    "car": 62,
    "truck": 90,
    "bicycle": 56,
    "parcel": 40,
    "fallen bicycle": 20,
    "climber": 90,
    "smoke": 100,
}


@dataclass(frozen=True)
class PairedPicture:
    """One picture, or a batch of them with a leading dimension.

    planes    uint8 [3, S, S]
    grid      float32 [G * G, NUM_CONTENTS], what stands in which part of the picture
    contents  float32 [NUM_CONTENTS], how many there are of each name, and the switches; of no yard NaN
    """

    planes: Tensor
    grid: Tensor
    contents: Tensor

    def to(self, device: str) -> PairedPicture:
        return PairedPicture(self.planes.to(device), self.grid.to(device), self.contents.to(device))


class PicturePairs(Dataset[PairedPicture]):
    """Pictures 2k and 2k + 1 are of one yard at two moments near each other; each is the same for the same `seed`."""

    def __init__(self, preprocessing: Preprocessing, *, side: int, seed: int, num_pictures: int) -> None:
        self._preprocessing, self._side, self._seed, self._num = preprocessing, side, seed, num_pictures

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> PairedPicture:
        rng = np.random.default_rng([self._seed, index // 2])
        world, time_seconds = _draw_scene(rng)
        low, high = NEAR_SECONDS if rng.random() < 0.5 else APART_SECONDS
        other_seconds = time_seconds + float(rng.uniform(low, high)) * float(rng.choice((-1.0, 1.0)))
        state = world.state_at(other_seconds if index % 2 else time_seconds)
        own = np.random.default_rng([self._seed, index, 1])
        pixels = render(state)
        is_foreign = own.random() < FOREIGN_SHARE
        if is_foreign:
            pixels = draw_foreign(own, pixels)
        planes = self._preprocessing.resize(torch.from_numpy(weathered(pixels, own))[None])[0]
        if is_foreign:
            return PairedPicture(
                planes, torch.zeros(self._side**2, NUM_CONTENTS), torch.full((NUM_CONTENTS,), torch.nan)
            )
        return PairedPicture(planes, label_grid(state, self._side), contents_of(state))


def _draw_scene(rng: np.random.Generator) -> tuple[World, float]:
    scenes = [draw_scene(rng)]
    if rng.random() < HARD_SHARE:
        while len(scenes) < HARD_TRIES and not _num_hard(*scenes[-1]):
            scenes.append(draw_scene(rng))
    return max(scenes, key=lambda scene: _num_hard(*scene))


def _num_hard(world: World, time_seconds: float) -> int:
    return sum(thing.kind in HARD_TO_SEE for thing in world.state_at(time_seconds).things)


def label_grid(state: YardState, side: int) -> Tensor:
    """float32 [side * side, NUM_CONTENTS]: 1 where the middle of such a thing stands; the switches hold everywhere."""
    grid = torch.zeros(side, side, NUM_CONTENTS)
    for thing in state.things:
        middle = thing.y - _TALL[thing.kind] * thing.scale / 2
        row, column = min(side - 1, int(middle / HEIGHT * side)), min(side - 1, int(thing.x / WIDTH * side))
        grid[row, column, NAMED.index(named(thing.kind, thing.colour))] = 1
    grid[:, :, len(NAMED) :] = _switches(state)
    return grid.view(side * side, NUM_CONTENTS)


def contents_of(state: YardState) -> Tensor:
    """float32 [NUM_CONTENTS]: the distance of two in the sum of absolute differences is how much happened between."""
    contents = torch.zeros(NUM_CONTENTS)
    for name in state.named():
        contents[NAMED.index(name)] += 1
    contents[len(NAMED) :] = _switches(state) * _SWITCHES
    return contents


def _switches(state: YardState) -> Tensor:
    return torch.tensor([state.gate_open, state.lamp_on, state.is_night], dtype=torch.float32)


def collate_pairs(pictures: list[PairedPicture]) -> PairedPicture:
    return PairedPicture(
        torch.stack([each.planes for each in pictures]),
        torch.stack([each.grid for each in pictures]),
        torch.stack([each.contents for each in pictures]),
    )
