"""Pixels against the image processors that transformers has for the families, which run on Pillow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.models.pillow import PROCESSORS, processed
from encoders import Preprocessing
from encoders.resample import resize
from llm.families import FAMILIES, patch_rows
from streamer.yard.render import render
from streamer.yard.world import World

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def yard() -> NDArray[np.uint8]:
    """A frame as a camera gives it, 1280 x 720, with a sensor's noise."""
    large = cv2.resize(render(World(7).state_at(1_795_800_000.0)), (1280, 720), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(1).normal(0, 4, large.shape)
    return (large + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", PROCESSORS)
def test_pixels_match_the_family_s_own_processor(tmp_path: Path, yard: NDArray[np.uint8], name: str) -> None:
    make, size = PROCESSORS[name]
    theirs = make()
    theirs.save_pretrained(tmp_path)

    ours = Preprocessing.from_folder(tmp_path, size=size, fit=FAMILIES[name].fit)
    pixels = ours.apply([yard], device=CPU, dtype=torch.float32)

    expected = processed(name, theirs, yard)
    if name.startswith("qwen"):
        vision = theirs
        pixels, grid = patch_rows(
            pixels, patch=vision.patch_size, merge=vision.merge_size, frames=vision.temporal_patch_size
        )
        assert grid.tolist() == theirs([yard], return_tensors="pt")["image_grid_thw"].tolist()
    std = torch.tensor(ours.std).mean()
    assert (pixels - expected).abs().mean() * std <= 1 / 255


def test_all_families_are_compared() -> None:
    assert set(PROCESSORS) == set(FAMILIES)


@pytest.mark.parametrize("size", [(100, 180), (33, 57), (720, 1280), (300, 2000)])
@pytest.mark.parametrize(("name", "pillow"), [("bilinear", 2), ("bicubic", 3), ("lanczos", 1)])
def test_a_resize_is_pillow_s(yard: NDArray[np.uint8], size: tuple[int, int], name: str, pillow: int) -> None:
    """But for overshoots at edges, which Pillow cuts off between its two passes too."""
    ours = resize(torch.from_numpy(yard).permute(2, 0, 1)[None], [size], name)[0].permute(1, 2, 0).numpy()
    theirs = np.asarray(Image.fromarray(yard).resize(size[::-1], Image.Resampling(pillow)))
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.mean() <= 0.25
    assert (difference > 1).mean() <= 0.001
    if name == "bilinear":
        assert difference.max() <= 1


def test_two_resizings_are_one_product(yard: NDArray[np.uint8]) -> None:
    ours = resize(torch.from_numpy(yard).permute(2, 0, 1)[None], [(1152, 2048), (512, 512)], "lanczos")[0]
    theirs = Image.fromarray(yard).resize((2048, 1152), Image.Resampling.LANCZOS)
    theirs = np.asarray(theirs.resize((512, 512), Image.Resampling.LANCZOS))
    assert np.abs(ours.permute(1, 2, 0).numpy().astype(int) - theirs).mean() <= 0.25


def test_bars_are_of_the_mean_colour_and_nothing_is_cut_off() -> None:
    picture = np.full((10, 20, 3), 200, np.uint8)
    ours = Preprocessing(20, 20, (0.5, 0.25, 0.1), (1, 1, 1), resample="bicubic", fit="pad")
    resized = ours.resize(torch.from_numpy(picture)[None])[0]
    assert resized[:, 0, 0].tolist() == [127, 63, 25]
    assert resized[:, 5:15].unique().tolist() == [200]
