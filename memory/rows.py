"""Rows of slots, merged into fewer places; whoever holds them says where they are from.

It knows no tier, no camera and no disk.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memory.similarity_merge import Merge, Similarity, consolidate


class Likeness(NamedTuple):
    """By what neighbours are merged; similarity reads the first `width` channels, None for all."""

    similarity: Similarity
    merge: Merge
    width: int | None


@dataclass(frozen=True)
class Rows:
    """Slots, oldest first: tokens [T, N, W] and arrays [T]; `slot_ids` are the heaviest parts' ids.

    gap_before  nothing is merged over it
    """

    tokens: Tensor
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    weights: NDArray[np.int64]
    gap_before: NDArray[np.bool_]
    slot_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def part(self, start: int, stop: int) -> Self:
        rows = slice(start, stop)
        return type(self)(
            self.tokens[rows],
            self.starts[rows],
            self.ends[rows],
            self.weights[rows],
            self.gap_before[rows],
            self.slot_ids[rows],
        )


def share(num_old: int, num_new: int, max_slots: int) -> tuple[int, int]:
    """How many places the old and the new get: the new a quarter, two at least, and each what the other leaves."""
    quarter = min(max(2, max_slots // 4), max_slots)
    new_places = min(num_new, max(quarter, max_slots - num_old))
    return min(num_old, max_slots - new_places), new_places


def fit(rows: Rows, places: int, likeness: Likeness) -> Rows:
    """At most `places`: the most alike neighbours are merged; where gaps leave too many, the oldest are left out."""
    if len(rows) <= places:
        return rows
    if places < 1:
        return rows.part(0, 0)
    device = rows.tokens.device
    result = consolidate(
        rows.tokens[None],
        places,
        weights=torch.tensor(rows.weights[None], dtype=torch.float32, device=device),
        barriers=torch.tensor(rows.gap_before[None, 1:], device=device),
        width=likeness.width,
        similarity=likeness.similarity,
        merge=likeness.merge,
    )
    kept = int(result.num_kept[0])
    firsts = result.boundaries[0, :kept].numpy(force=True)
    stops = result.boundaries[0, 1 : kept + 1].numpy(force=True)
    heaviest = [int(i + rows.weights[i:j].argmax()) for i, j in zip(firsts, stops, strict=True)]
    return Rows(
        tokens=result.tokens[0, :kept],
        starts=rows.starts[firsts],
        ends=np.array([rows.ends[i:j].max() for i, j in zip(firsts, stops, strict=True)]),
        weights=np.array([rows.weights[i:j].sum() for i, j in zip(firsts, stops, strict=True)]),
        gap_before=rows.gap_before[firsts],
        slot_ids=rows.slot_ids[heaviest],
    )
