"""Whether a slot shows what another shows. It knows no time and no disk."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

UNCHANGED_MEAN, UNCHANGED_LEAST = 0.995, 0.95
"""It does where its tokens' cosines are so high, in the mean and each."""


def units_of(tokens: Tensor) -> Tensor:
    """Tokens [N, W] of any floating type -> float32 [N, W] on the same device, each of length 1 or 0."""
    return normalize(tokens.detach().to(torch.float32), dim=-1)


def is_unchanged(before: Tensor, after: Tensor) -> bool:
    """Of two slots' units; one copy to the host."""
    cosines = (before * after).sum(-1)
    mean, least = torch.stack((cosines.mean(), cosines.min())).tolist()
    return bool(mean >= UNCHANGED_MEAN and least >= UNCHANGED_LEAST)
