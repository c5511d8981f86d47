"""What a full long-term memory lets go of: four policies behind one interface, so that they can be compared.

It knows rows of slots and when they began, but no camera and no picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memory.similarity_merge import Merge, Similarity, consolidate

PolicyName = Literal["similarity", "moviechat", "fifo", "uniform"]


class FullMemory(NamedTuple):
    """The T slots of one camera that have to become fewer, oldest first.

    tokens: [T, N, W]; starts: seconds [T]; weights: frames [T]; gap_before: bool [T]
    width: similarity reads the first `width` channels, None for all
    """

    tokens: Tensor
    starts: NDArray[np.float64]
    weights: NDArray[np.int64]
    gap_before: NDArray[np.bool_]
    width: int | None


class Shrunk(NamedTuple):
    """The K slots that are left: tokens [K, N, W], and from which old slots start .. stop - 1 each was made.

    The spans are in order and do not overlap; an old slot in none of them is dropped.
    """

    tokens: Tensor
    spans: list[tuple[int, int]]


@dataclass(frozen=True)
class Policy:
    """How one memory forgets.

    `similarity` and `merge` are how a run of frames of the ring is consolidated, and how evidence is made to fit a
    prompt; `shrink(policy, memory, keep)` leaves at most `keep` slots of a full long-term memory. All of them work in
    batches, only when memory is full, and nothing is ever merged over a gap.
    """

    name: PolicyName
    similarity: Similarity
    merge: Merge
    shrink: Callable[["Policy", FullMemory, int], Shrunk]


def policy_of(name: str, *, similarity: Similarity | None = None, merge: Merge | None = None) -> Policy:
    """The policy of that name, with its own similarity and merge unless they are given.

    similarity: the weighted mean of the most alike neighbours, by the cosine of their tokens (the default)
    moviechat: what the published code does. Kept are its consolidation of the ring (mean of all dot products, halving)
        and a long-term memory that never merges. The published memory has no bound where it is filled; where it is
        read and holds too much, the oldest of long-term memory go. So the oldest go here, in batches.
    fifo: the oldest go; the ring is consolidated as with `similarity`
    uniform: slots that began most evenly over the whole time stay, the first and the last among them; the ring is
        consolidated as with `similarity`

    Raises:
        ValueError: there is no such policy, similarity or merge.
    """
    for what, value, known in (
        ("policy", name, get_args(PolicyName)),
        ("similarity", similarity, (None, *get_args(Similarity))),
        ("merge", merge, (None, *get_args(Merge))),
    ):
        if value not in known:
            raise ValueError(f"expected {what} to be one of {known}, received {value!r}")
    usual = _POLICIES[name]
    return Policy(usual.name, similarity or usual.similarity, merge or usual.merge, usual.shrink)


def _merge_alike(policy: Policy, memory: FullMemory, keep: int) -> Shrunk:
    device = memory.tokens.device
    result = consolidate(
        memory.tokens[None],
        keep,
        weights=torch.tensor(memory.weights[None], dtype=torch.float32, device=device),
        barriers=torch.tensor(memory.gap_before[None, 1:], device=device),
        width=memory.width,
        similarity=policy.similarity,
        merge=policy.merge,
    )
    kept = int(result.num_kept[0])
    boundaries: list[int] = result.boundaries[0].tolist()
    return Shrunk(result.tokens[0, :kept], [(boundaries[k], boundaries[k + 1]) for k in range(kept)])


def _drop_oldest(_policy: Policy, memory: FullMemory, keep: int) -> Shrunk:
    return _only(memory, np.arange(max(0, len(memory.starts) - keep), len(memory.starts)))


def _thin_out(_policy: Policy, memory: FullMemory, keep: int) -> Shrunk:
    """The slot nearest to each of `keep` moments that are evenly spaced; each slot once, in order."""
    count = len(memory.starts)
    if keep >= count:
        return _only(memory, np.arange(count))
    if keep == 1:
        return _only(memory, np.array([count - 1]))
    moments = np.linspace(memory.starts[0], memory.starts[-1], keep)
    after = np.searchsorted(memory.starts, moments).clip(1, count - 1)
    is_nearer_before = moments - memory.starts[after - 1] <= memory.starts[after] - moments
    rows = np.where(is_nearer_before, after - 1, after)
    steps = np.arange(keep)
    rows = np.maximum.accumulate(rows - steps) + steps  # later than the one before
    rows = np.minimum(rows, count - keep + steps)  # with room for those after
    return _only(memory, rows)


def _only(memory: FullMemory, rows: NDArray[np.intp]) -> Shrunk:
    kept = memory.tokens[torch.from_numpy(rows).to(memory.tokens.device)]
    return Shrunk(kept, [(int(row), int(row) + 1) for row in rows])


_POLICIES: dict[str, Policy] = {
    "similarity": Policy("similarity", "token_cosine", "weighted", _merge_alike),
    "moviechat": Policy("moviechat", "mean_dot", "halving", _drop_oldest),
    "fifo": Policy("fifo", "token_cosine", "weighted", _drop_oldest),
    "uniform": Policy("uniform", "token_cosine", "weighted", _thin_out),
}
