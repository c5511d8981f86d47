"""Pillow's resampling as two matrices, so that any row of resizings is one product on the pixels' own device."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor


def _bilinear(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _bicubic(x: float) -> float:
    x = abs(x)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1.0
    return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 if x < 2.0 else 0.0


def _sinc(x: float) -> float:
    return 1.0 if x == 0.0 else math.sin(math.pi * x) / (math.pi * x)


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3.0) if -3.0 < x < 3.0 else 0.0


_FILTERS: dict[str, tuple[Callable[[float], float], float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""Name -> the filter and how far it reaches, in pixels of the smaller side (Pillow, Resample.c)."""


def resize(planes: Tensor, sizes: Sequence[tuple[int, int]], filter_name: str) -> Tensor:
    """uint8 [B, C, H, W] -> uint8 [B, C, height, width] of the last of `sizes`, as if resized to each in turn.

    Antialiased; rounded once, where Pillow rounds after every pass. Raises: KeyError for a filter that is not known.
    """
    height, width = planes.shape[-2:]
    rows = _matrix((height, *(size[0] for size in sizes)), filter_name, planes.device)
    columns = _matrix((width, *(size[1] for size in sizes)), filter_name, planes.device)
    batch, channels = planes.shape[:2]
    flat = planes.permute(2, 0, 1, 3).reshape(height, -1).float()
    flat = (rows @ flat).view(-1, batch, channels, width)
    flat = flat.permute(3, 1, 2, 0).reshape(width, -1)
    resized = (columns @ flat).view(-1, batch, channels, rows.shape[0])
    return resized.permute(1, 2, 3, 0).round().clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=32)  # bound: the sizes of the pictures of an agent's cameras
def _matrix(lengths: tuple[int, ...], filter_name: str, device: torch.device) -> Tensor:
    """Sparse float32 [last, first]: what each pixel of the last length takes of the first, over all steps."""
    product = torch.eye(lengths[0], dtype=torch.float64)
    for before, after in pairwise(lengths):
        if before != after:
            product = _step(before, after, filter_name) @ product
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return product.float().to_sparse_csr().to(device)


def _step(before: int, after: int, filter_name: str) -> Tensor:
    function, reach = _FILTERS[filter_name]
    scale = before / after
    stretch = max(scale, 1.0)
    matrix = torch.zeros(after, before, dtype=torch.float64)
    for index in range(after):
        centre = (index + 0.5) * scale
        first = max(0, int(centre - reach * stretch + 0.5))
        last = min(before, int(centre + reach * stretch + 0.5))
        weights = [function((pixel - centre + 0.5) / stretch) for pixel in range(first, last)]
        matrix[index, first:last] = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    return matrix
