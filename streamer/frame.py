"""Frame: one decoded, masked picture with its time; knows neither where it came from nor where it goes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Frame:
    """One picture of one camera.

    pixels             uint8 [H, W, 3] RGB, contiguous, masks already painted; nobody writes to it
    time_seconds       UTC epoch on the camera's clock, strictly increasing per camera, also across reconnects
    pts_seconds        the stream's own time stamp, where it has one
    index              0, 1, 2 ... among the sampled frames of this camera
    gap_before         the camera gave no frames for a while just before this one (a reconnect or a stall)
    gap_start_seconds  time of the last picture before that gap
    """

    pixels: NDArray[np.uint8]
    time_seconds: float
    pts_seconds: float | None
    index: int
    camera: str
    gap_before: bool = False
    gap_start_seconds: float | None = None

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
            raise ValueError(f"pixels must be uint8 [H, W, 3], got {pixels.dtype} {list(pixels.shape)}")
        if not pixels.flags.c_contiguous:
            raise ValueError("pixels must be C-contiguous, got a strided view; pass a copy")
        if not math.isfinite(self.time_seconds):
            raise ValueError(f"time_seconds must be finite, got {self.time_seconds}")
        if self.index < 0:
            raise ValueError(f"index must be at least 0, got {self.index}")
        start = self.gap_start_seconds
        if start is not None and not (self.gap_before and start < self.time_seconds):
            raise ValueError(f"gap_start_seconds {start} needs gap_before and must be earlier than {self.time_seconds}")

    def __repr__(self) -> str:
        height, width, _ = self.pixels.shape
        gap = f", gap since {self.gap_start_seconds}" if self.gap_before else ""
        return f"Frame({self.camera} #{self.index}, {width}x{height}, time_seconds={self.time_seconds:.3f}{gap})"
