"""Frame: one sampled, masked picture with its time; knows neither where it came from nor where it goes."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_PIXELS", "Frame"]

NO_PIXELS: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)
"""The pixels of a still frame."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Frame:
    """One picture of one camera, and how many pictures after it showed nothing new.

    A still frame has no pixels: it says that the camera shows what its frame before showed.

    pixels                   uint8 [H, W, 3] RGB, contiguous, masks already painted; nobody writes to it. A still frame:
                             [0, 0, 3]
    time_seconds             UTC epoch on the camera's clock, strictly increasing per camera, also across reconnects
    pts_seconds              the stream's own time stamp, where it has one
    index                    0, 1, 2 ... among the sampled pictures of this camera
    gap_before               the camera gave no frames for a while just before this one (a reconnect or a stall)
    gap_start_seconds        time of the last picture before that gap
    num_unchanged            sampled pictures after this one that showed the same
    unchanged_until_seconds  time of the last of them
    """

    pixels: NDArray[np.uint8]
    time_seconds: float
    pts_seconds: float | None
    index: int
    camera: str
    gap_before: bool = False
    gap_start_seconds: float | None = None
    num_unchanged: int = 0
    unchanged_until_seconds: float | None = None

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"pixels must be uint8 [H, W, 3], got {pixels.dtype} {list(pixels.shape)}")
        if pixels.size == 0 and pixels.shape != NO_PIXELS.shape:
            raise ValueError(f"pixels must be uint8 [H, W, 3], or [0, 0, 3] where still, got {list(pixels.shape)}")
        if not pixels.flags.c_contiguous:
            raise ValueError("pixels must be C-contiguous, got a strided view; pass a copy")
        if not math.isfinite(self.time_seconds):
            raise ValueError(f"time_seconds must be finite, got {self.time_seconds}")
        if self.index < 0:
            raise ValueError(f"index must be at least 0, got {self.index}")
        self._check_gap()
        self._check_unchanged()

    def _check_gap(self) -> None:
        start = self.gap_start_seconds
        if start is not None and not (self.gap_before and start < self.time_seconds):
            raise ValueError(f"gap_start_seconds {start} needs gap_before and must be earlier than {self.time_seconds}")
        if self.gap_before and self.is_still:
            raise ValueError("gap_before needs pixels: nobody knows that the scene is as it was before the gap")

    def _check_unchanged(self) -> None:
        count, until = self.num_unchanged, self.unchanged_until_seconds
        if (count > 0) != (until is not None) or count < 0:
            raise ValueError(f"num_unchanged and unchanged_until_seconds must go together, got {count} and {until}")
        if until is not None and not self.time_seconds < until < math.inf:
            raise ValueError(f"unchanged_until_seconds must be later than {self.time_seconds}, got {until}")

    @property
    def is_still(self) -> bool:
        """True where it has no pixels: it shows what the frame before showed."""
        return self.pixels.size == 0

    @property
    def num_pictures(self) -> int:
        """Sampled pictures that it stands for."""
        return 1 + self.num_unchanged

    @property
    def end_seconds(self) -> float:
        """Time of the last picture that it stands for."""
        return self.time_seconds if self.unchanged_until_seconds is None else self.unchanged_until_seconds

    def extended(self, still: "Frame") -> "Frame":
        """This frame, and the still one after it."""
        return replace(
            self,
            num_unchanged=self.num_unchanged + still.num_pictures,
            unchanged_until_seconds=still.end_seconds,
        )

    def __repr__(self) -> str:
        height, width, _ = self.pixels.shape
        what = "still" if self.is_still else f"{width}x{height}"
        gap = f", gap since {self.gap_start_seconds}" if self.gap_before else ""
        unchanged = f", unchanged until {self.unchanged_until_seconds:.3f}" if self.num_unchanged else ""
        return f"Frame({self.camera} #{self.index}, {what}, time_seconds={self.time_seconds:.3f}{unchanged}{gap})"
