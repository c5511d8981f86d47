"""Pixels to tokens with a vision tower that is given; it knows nothing of time, cameras or language."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.preprocess import Preprocessing


class VisionEncoder:
    """Wraps `project`, which maps `dtype` [B, 3, height, width] to tokens [B, N, W] (tower and projector together)."""

    def __init__(
        self,
        project: Callable[[Tensor], Tensor],
        preprocessing: Preprocessing,
        *,
        device: torch.device,
        dtype: torch.dtype,
        similarity_width: int | None = None,
        identity: str = "",
    ) -> None:
        self._project = project
        self.preprocessing = preprocessing
        self.device = device
        self.dtype = dtype
        blank = np.zeros((preprocessing.height, preprocessing.width, 3), np.uint8)
        self.similarity_width = similarity_width
        """How many of a token's W channels say how alike two are; None for all."""
        self.identity = identity
        """The same for encoders that make the same tokens of a picture: what is kept on disk is read by no other."""
        self.num_tokens, self.width = self.encode([blank]).shape[1:]

    @torch.inference_mode()
    def encode(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """B pictures uint8 [H, W, 3] RGB, each of its own size -> tokens [B, N, W] in `dtype` on `device`.

        Raises: ValueError for an empty batch or a picture that is not uint8 [H, W, 3].
        """
        if not pictures:
            raise ValueError("encode needs at least one picture, got none")
        for picture in pictures:
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(f"a picture is uint8 [H, W, 3], got {picture.dtype} {list(picture.shape)}")
        tokens = self._project(self.preprocessing.apply(pictures, device=self.device, dtype=self.dtype))
        if tokens.ndim != 3 or tokens.shape[0] != len(pictures):
            raise ValueError(f"the vision tower gave {list(tokens.shape)} for {len(pictures)} pictures, not [B, N, W]")
        return tokens
