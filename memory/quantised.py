"""Tokens in 8 bits, as they lie on disk: every token has a scale of its own. It knows no file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MOST = 127


@dataclass(frozen=True)
class QuantisedTokens:
    """One slot's tokens: levels int8 [N, W], scales float32 [N]; a token is its levels times its scale.

    No channel is further from what it was than half a scale, which is 1/254 of the token's largest.

    Raises:
        ValueError: shapes or types do not fit.
    """

    levels: NDArray[np.int8]
    scales: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.levels.ndim != 2 or self.levels.dtype != np.int8:
            raise ValueError(f"expected levels int8 [N, W], received {self.levels.dtype} {list(self.levels.shape)}")
        if self.scales.shape != self.levels.shape[:1] or self.scales.dtype != np.float32:
            raise ValueError(
                f"expected scales float32 [{self.levels.shape[0]}], received {self.scales.dtype} "
                f"{list(self.scales.shape)}"
            )

    def __repr__(self) -> str:
        return f"QuantisedTokens({list(self.levels.shape)})"

    @property
    def nbytes(self) -> int:
        return self.levels.nbytes + self.scales.nbytes

    @property
    def shape(self) -> tuple[int, int]:
        num_tokens, width = self.levels.shape
        return num_tokens, width

    def restored(self) -> NDArray[np.float32]:
        """float32 [N, W]"""
        return self.levels * self.scales[:, None]


def quantise(tokens: Tensor) -> list[QuantisedTokens]:
    """Finite tokens [K, N, W] of any floating type, on any device -> one of each slot; one copy to the host."""
    values = tokens.detach().to(device="cpu", dtype=torch.float32)
    scales = values.abs().amax(-1) / _MOST
    levels = (values / scales.clamp(min=torch.finfo(torch.float32).tiny)[..., None]).round().to(torch.int8)
    return [QuantisedTokens(level, scale) for level, scale in zip(levels.numpy(), scales.numpy(), strict=True)]
