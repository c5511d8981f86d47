"""The greedy merge as literally as it can be told, in float64: the judge of the tests. It knows no implementation."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass
class Replay:
    """One camera's outcome, and how clearly each best pair led the next: 0 is a tie."""

    means: list[Array]
    weights: list[float]
    boundaries: list[int]
    leads: list[float] = field(default_factory=list)


def similarity(a: Array, b: Array, *, kind: str) -> float:
    if kind == "mean_dot":
        return float((a @ b.T).mean())
    dots = (a * b).sum(1)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.where(lengths > 0, dots / np.where(lengths > 0, lengths, 1), 0).mean())


def replay(
    tokens: Tensor,
    keep: int,
    *,
    weights: list[float] | None = None,
    barriers: list[bool] | None = None,
    width: int | None = None,
    kind: str = "token_cosine",
    merge: str = "weighted",
) -> Replay:
    """tokens: finite [T, N, W] of one camera."""
    means: list[Array] = [slot.to(torch.float64).numpy() for slot in tokens]
    counts = [1.0] * len(means) if weights is None else list(weights)
    walls = [False] * (len(means) - 1) if barriers is None else list(barriers)
    starts = list(range(len(means)))
    leads = []

    def pair(t: int) -> float:
        return -np.inf if walls[t] else similarity(means[t][:, :width], means[t + 1][:, :width], kind=kind)

    pairs = [pair(t) for t in range(len(means) - 1)]
    while len(means) > keep:
        best = int(np.argmax(pairs))
        if pairs[best] == -np.inf:
            break
        others = [value for t, value in enumerate(pairs) if t != best and value > -np.inf]
        if others:
            leads.append((pairs[best] - max(others)) / max(abs(pairs[best]), 1e-30))
        share = 0.5 if merge == "halving" else counts[best + 1] / (counts[best] + counts[best + 1])
        means[best] = (1 - share) * means[best] + share * means[best + 1]
        counts[best] += counts[best + 1]
        del means[best + 1], counts[best + 1], starts[best + 1], walls[best], pairs[best]
        for t in range(max(0, best - 1), min(best + 1, len(pairs))):  # the other pairs are what they were
            pairs[t] = pair(t)
    means, counts, starts = means[-keep:], counts[-keep:], starts[-keep:]
    return Replay(means, counts, [*starts, len(tokens)], leads)


def mean_of_choices(tokens: Tensor, boundaries: list[int], weights: list[float]) -> Tensor:
    """What `weighted` makes of the segments somebody chose, in float64: [len(boundaries) - 1, N, W]."""
    slots, frames = tokens.to(torch.float64), torch.tensor(weights, dtype=torch.float64)
    return torch.stack(
        [
            torch.einsum("t,tnw->nw", frames[start:stop] / frames[start:stop].sum(), slots[start:stop])
            for start, stop in pairwise(boundaries)
        ]
    )


def cancelling_tokens(rest: float, seed: int) -> Tensor:
    """[1, 4, 16, 768]: the first two slots are most alike, but for one token of theirs, whose mean is next to nothing.

    The last two come next: they are more alike than either is to what the first two become.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, 768, generator=generator)

    base, one, other = noise(15), noise(), noise()
    tokens = torch.zeros(1, 4, 16, 768)
    tokens[0, 0, 0], tokens[0, 1, 0], tokens[0, 2, 0] = one, rest * noise() - one, other
    tokens[0, 0, 1:], tokens[0, 1, 1:], tokens[0, 2, 1:] = base, base + 0.05 * noise(15), base + 0.9 * noise(15)
    tokens[0, 3] = tokens[0, 2] + 0.9 * noise(16)
    return tokens
