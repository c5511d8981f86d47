"""One step down a loss, the same in every stage of training, and how far it goes."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

_BETAS = (0.9, 0.98)
_WEIGHT_DECAY = 0.05
_LEAST_SHARE = 0.02
_MOST_GRADIENT = 1.0


def optimiser_of(learner: nn.Module) -> torch.optim.AdamW:
    """For all that learns in `learner`; weight decay for matrices alone."""
    learned = [p for p in learner.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim >= 2], "weight_decay": _WEIGHT_DECAY},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=_BETAS)


def learning_rate(step: int, num_steps: int, *, peak: float, num_warm: int) -> float:
    """Up to `peak` in `num_warm` steps, then half a cosine down to a fiftieth of it."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / num_steps))
    return peak * min(1.0, (step + 1) / num_warm) * (_LEAST_SHARE + (1 - _LEAST_SHARE) * cosine)


def descend(learner: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """One step against the gradient of `loss`, cut to a length of 1."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(learner.parameters(), _MOST_GRADIENT)
    optimiser.step()


@cache
def is_fast_in_bfloat16(device: str) -> bool:
    """Where the arithmetic of matrices in 16 bit is built in; elsewhere it is slower than in 32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    about = Path("/proc/cpuinfo")
    return about.is_file() and "amx_bf16" in about.read_text()
