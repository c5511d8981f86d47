"""Planes of a decoder, NV12 or P010, to a small picture in torch, on their own device; knows no decoder.

It does what swscale does with the same planes on the CPU: areas are averaged, then matrix and range are applied.
"""

import functools

import torch
from torch import Tensor

__all__ = ["gray_of", "rgb_of"]

_RED_BLUE_SHARES = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)
_CHROMA_SITING = -0.25  # samples lie on the left one of the two columns that they stand for


def rgb_of(luma: Tensor, chroma: Tensor, *, width: int, height: int, matrix: int, is_full_range: bool) -> Tensor:
    """uint8 [H, W] and [H // 2, W // 2, 2], or uint16 with the value in the high bits -> uint8 [height, width, 3].

    matrix  FFmpeg's number of the colour space (AVColorSpace); one that is not known is BT.601
    """
    y = _resized(luma, width, height)
    u, v = (_resized(chroma[..., channel], width, height, siting=_CHROMA_SITING) - 128 for channel in (0, 1))
    if not is_full_range:
        y, u, v = (y - 16) * (255 / 219), u * (255 / 224), v * (255 / 224)
    red, blue = _RED_BLUE_SHARES.get(matrix, _BT601)
    green = 1 - red - blue
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    rgb = torch.stack([r, (y - red * r - blue * b) / green, b], dim=-1)
    return rgb.round_().clamp_(0, 255).to(torch.uint8)


def gray_of(luma: Tensor, *, width: int, height: int, is_full_range: bool) -> Tensor:
    """uint8 or uint16 [H, W] -> uint8 [height, width], full range."""
    y = _resized(luma, width, height)
    return (y if is_full_range else (y - 16) * (255 / 219)).round_().clamp_(0, 255).to(torch.uint8)


def _resized(plane: Tensor, width: int, height: int, *, siting: float = 0.0) -> Tensor:
    """[H, W] -> float32 [height, width], 0..255."""
    scale = 1 / 256 if plane.dtype == torch.uint16 else 1.0
    values = plane.to(torch.float32) * scale
    rows = _weights(values.shape[0], height, 0.0, plane.device)
    columns = _weights(values.shape[1], width, siting, plane.device)
    return rows @ values @ columns.T


@functools.lru_cache(maxsize=96)
def _weights(num_in: int, num_out: int, siting: float, device: torch.device) -> Tensor:
    """float32 [num_out, num_in]: how much of each sample is in each result; at most 96 are kept, 6 for each size
    of picture, 10 MB each for 4K.

    Fewer results: the share of the area that each sample covers. As many or more: the line between two neighbours.
    """
    step = num_in / num_out
    if num_out < num_in:
        edges = torch.arange(num_in + 1, dtype=torch.float64)
        starts = (torch.arange(num_out, dtype=torch.float64) * step)[:, None]
        covered = torch.minimum(edges[1:], starts + step) - torch.maximum(edges[:-1], starts)
        weights = covered.clamp_min(0) / step
    else:
        places = ((torch.arange(num_out, dtype=torch.float64) + 0.5) * step - 0.5 - siting).clamp(0, num_in - 1)
        weights = (1 - (places[:, None] - torch.arange(num_in, dtype=torch.float64)).abs()).clamp_min(0)
    return weights.to(torch.float32).to(device)
