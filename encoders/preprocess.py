"""Pixels as a vision tower wants them: resized and normalised in torch on the tower's device; it knows no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from encoders import resample

_RESAMPLE = {  # PIL's numbers, which preprocessor_config.json uses
    0: "nearest-exact",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
}
Fit = Literal["stretch", "pad"]
"""How a picture of another aspect comes to its size: as it is, or with bars of the mean colour that make it square."""


@dataclass(frozen=True)
class Preprocessing:
    """What a checkpoint's preprocessor_config.json asks for, as far as one still picture of a fixed size needs it."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rescale: float = 1 / 255
    resample: str = "bilinear"
    fit: Fit = "stretch"
    longest_edge: int | None = None
    """The longer side that a picture is brought to before, at its own aspect; None where it is resized once."""

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"picture size must be positive, got {self.height}x{self.width}")
        if any(value <= 0 for value in self.std):
            raise ValueError(f"image_std must be positive, got {self.std}")
        if self.resample not in _RESAMPLE.values():
            raise ValueError(f"resample must be one of {sorted(_RESAMPLE.values())}, got {self.resample!r}")

    @classmethod
    def from_folder(cls, folder: Path, *, size: tuple[int, int], fit: Fit = "stretch") -> Preprocessing:
        """Read `folder`/preprocessor_config.json, or processor_config.json as transformers 5 saves it instead.

        `size` is the (height, width) that the vision tower takes.

        Raises: FileNotFoundError without both; ValueError where it is not understood.
        """
        config = _image_processor(folder)
        resample = config.get("resample", 2)
        if resample not in _RESAMPLE:
            raise ValueError(f"preprocessor_config.json: resample must be one of {sorted(_RESAMPLE)}, got {resample}")
        mean, std = config.get("image_mean", (0.5, 0.5, 0.5)), config.get("image_std", (0.5, 0.5, 0.5))
        if not config.get("do_normalize", True):
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        edge = (config.get("size") or {}).get("longest_edge") if "max_image_size" in config else None
        return cls(
            height=size[0],
            width=size[1],
            mean=tuple(mean),
            std=tuple(std),
            rescale=config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0,
            resample=_RESAMPLE[resample],
            fit=fit,
            longest_edge=edge if edge != max(size) else None,
        )

    def resize(self, pixels: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] -> uint8 [B, 3, height, width] on the same device; antialiased."""
        planes = pixels.permute(0, 3, 1, 2)
        if self.fit == "pad":
            planes = self._square(planes)
        if planes.shape[-2:] == (self.height, self.width):
            return planes
        if self.longest_edge is not None or self.resample == "lanczos":
            return resample.resize(planes, [*self._before(planes), (self.height, self.width)], self.resample)
        antialias = self.resample != "nearest-exact"
        if pixels.device.type == "cpu" and antialias:  # torch has a fast uint8 kernel there, and only there
            return interpolate(planes, (self.height, self.width), mode=self.resample, antialias=True)
        resized = interpolate(planes.float(), (self.height, self.width), mode=self.resample, antialias=antialias)
        return resized.round().clamp(0, 255).to(torch.uint8)

    def _before(self, planes: Tensor) -> list[tuple[int, int]]:
        """The size at its own aspect; even, as Idefics3ImageProcessor of transformers makes it."""
        if self.longest_edge is None:
            return []
        height, width = planes.shape[-2:]
        long = self.longest_edge
        if width >= height:
            return [(_even(int(long * height / width)), long)]
        return [(long, _even(int(long * width / height)))]

    def _square(self, planes: Tensor) -> Tensor:
        height, width = planes.shape[-2:]
        side = max(height, width)
        if height == width:
            return planes
        square = torch.tensor([int(value * 255) for value in self.mean], dtype=torch.uint8, device=planes.device)
        square = square.view(1, 3, 1, 1).repeat(len(planes), 1, side, side)
        top, left = (side - height) // 2, (side - width) // 2
        square[:, :, top : top + height, left : left + width] = planes
        return square

    def normalise(self, planes: Tensor, dtype: torch.dtype) -> Tensor:
        """uint8 [B, 3, H, W] -> `dtype` [B, 3, H, W], rescaled and normalised in float32."""
        mean = torch.tensor(self.mean, device=planes.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=planes.device).view(3, 1, 1)
        return ((planes.float() * self.rescale - mean) / std).to(dtype)

    def apply(self, pictures: Sequence[NDArray[np.uint8]], *, device: torch.device, dtype: torch.dtype) -> Tensor:
        """B pictures uint8 [H, W, 3], each of its own size -> `dtype` [B, 3, height, width] on `device`."""
        planes = [self.resize(torch.from_numpy(picture).to(device)[None]) for picture in pictures]
        return self.normalise(torch.cat(planes), dtype)


def _image_processor(folder: Path) -> dict[str, Any]:
    alone, together = folder / "preprocessor_config.json", folder / "processor_config.json"
    if not alone.is_file() and together.is_file():
        within: dict[str, Any] = json.loads(together.read_text()).get("image_processor") or {}
        if within:
            return within
    config: dict[str, Any] = json.loads(alone.read_text())
    return config


def _even(pixels: int) -> int:
    return max(1, pixels + pixels % 2)
