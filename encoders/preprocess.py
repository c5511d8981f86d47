"""Pixels as a vision tower wants them: resized and normalised in torch on the tower's device; it knows no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

_RESAMPLE = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}  # PIL's numbers, which preprocessor_config.json uses


@dataclass(frozen=True)
class Preprocessing:
    """What a checkpoint's preprocessor_config.json asks for, as far as one still picture of a fixed size needs it."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rescale: float = 1 / 255
    resample: str = "bilinear"

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"picture size must be positive, got {self.height}x{self.width}")
        if any(value <= 0 for value in self.std):
            raise ValueError(f"image_std must be positive, got {self.std}")
        if self.resample not in _RESAMPLE.values():
            raise ValueError(f"resample must be one of {sorted(_RESAMPLE.values())}, got {self.resample!r}")

    @classmethod
    def from_folder(cls, folder: Path, *, size: int) -> Preprocessing:
        """Read `folder`/preprocessor_config.json; `size` is the side that the vision tower takes, in pixels.

        Raises: FileNotFoundError without the file; ValueError where it is not understood.
        """
        config: dict[str, Any] = json.loads((folder / "preprocessor_config.json").read_text())
        resample = config.get("resample", 2)
        if resample not in _RESAMPLE:
            raise ValueError(f"preprocessor_config.json: resample must be one of {sorted(_RESAMPLE)}, got {resample}")
        mean, std = config.get("image_mean", (0.5, 0.5, 0.5)), config.get("image_std", (0.5, 0.5, 0.5))
        if not config.get("do_normalize", True):
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        return cls(
            height=size,
            width=size,
            mean=tuple(mean),
            std=tuple(std),
            rescale=config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0,
            resample=_RESAMPLE[resample],
        )

    def resize(self, pixels: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] -> uint8 [B, 3, height, width] on the same device; antialiased, aspect is not kept."""
        planes = pixels.permute(0, 3, 1, 2)
        if planes.shape[-2:] == (self.height, self.width):
            return planes
        antialias = self.resample != "nearest-exact"
        if pixels.device.type == "cpu" and antialias:  # torch has a fast uint8 kernel there, and only there
            return interpolate(planes, (self.height, self.width), mode=self.resample, antialias=True)
        resized = interpolate(planes.float(), (self.height, self.width), mode=self.resample, antialias=antialias)
        return resized.round().clamp(0, 255).to(torch.uint8)

    def normalise(self, planes: Tensor, dtype: torch.dtype) -> Tensor:
        """uint8 [B, 3, H, W] -> `dtype` [B, 3, H, W], rescaled and normalised in float32."""
        mean = torch.tensor(self.mean, device=planes.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=planes.device).view(3, 1, 1)
        return ((planes.float() * self.rescale - mean) / std).to(dtype)

    def apply(self, pictures: Sequence[NDArray[np.uint8]], *, device: torch.device, dtype: torch.dtype) -> Tensor:
        """B pictures uint8 [H, W, 3], each of its own size -> `dtype` [B, 3, height, width] on `device`."""
        planes = [self.resize(torch.from_numpy(picture).to(device)[None]) for picture in pictures]
        return self.normalise(torch.cat(planes), dtype)
