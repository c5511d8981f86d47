"""The image processors that transformers has for the families: they run on Pillow, and are set to make no tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import (
    BlipImageProcessorPil,
    Gemma3ImageProcessorPil,
    GotOcr2ImageProcessorPil,
    Idefics3ImageProcessorPil,
    LlavaImageProcessorPil,
    LlavaOnevisionImageProcessorPil,
    Qwen2VLImageProcessorPil,
    SmolVLMImageProcessorPil,
)

_TILES_OFF = {"do_image_splitting": False, "size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
PROCESSORS: dict[str, tuple[Callable[[], Any], tuple[int, int]]] = {
    "smolvlm": (lambda: SmolVLMImageProcessorPil(**_TILES_OFF), (512, 512)),
    "idefics3": (
        lambda: Idefics3ImageProcessorPil(
            do_image_splitting=False, size={"longest_edge": 1456}, max_image_size={"longest_edge": 364}
        ),
        (364, 364),
    ),
    "llava": (
        lambda: LlavaImageProcessorPil(
            do_pad=True,
            size={"shortest_edge": 336},
            crop_size={"height": 336, "width": 336},
        ),
        (336, 336),
    ),
    "llava_onevision": (lambda: LlavaOnevisionImageProcessorPil(size={"height": 384, "width": 384}), (384, 384)),
    "qwen2_5_vl": (
        lambda: Qwen2VLImageProcessorPil(size={"shortest_edge": 252 * 448, "longest_edge": 252 * 448}),
        (252, 448),
    ),
    "qwen3_vl": (
        lambda: Qwen2VLImageProcessorPil(
            patch_size=16,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            size={"shortest_edge": 288 * 512, "longest_edge": 288 * 512},
        ),
        (288, 512),
    ),
    "internvl": (lambda: GotOcr2ImageProcessorPil(size={"height": 448, "width": 448}), (448, 448)),
    "gemma3": (lambda: Gemma3ImageProcessorPil(size={"height": 896, "width": 896}), (896, 896)),
    "blip-2": (lambda: BlipImageProcessorPil(size={"height": 224, "width": 224}), (224, 224)),
    "instructblip": (lambda: BlipImageProcessorPil(size={"height": 224, "width": 224}), (224, 224)),
}
"""Family -> (what makes its processor, (height, width) of the pixels that it gives)."""


def processed(family: str, processor: Any, picture: NDArray[np.uint8]) -> torch.Tensor:
    """One picture uint8 [H, W, 3] as `processor` gives it: float32 [1, 3, h, w]; for Qwen, rows of patches."""
    if family == "llava_onevision":  # two in a prompt are not cut into tiles
        tiled: torch.Tensor = processor([[Image.fromarray(picture)] * 2], return_tensors="pt")["pixel_values"]
        return tiled.flatten(0, -4)[:1]
    found: torch.Tensor = processor([Image.fromarray(picture)], return_tensors="pt")["pixel_values"]
    return found if family.startswith("qwen") else found.flatten(0, -4)[:1]
