"""The greedy merge on a CPU: each camera on one thread, in compiled code, by the way that suits its number of slots.

It knows no Triton.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from memory.similarity_merge.contract import Consolidated, Problem
from memory.similarity_merge.cpu_compiled import (
    decide_by_mean_dot,
    merge_by_gram,
    merge_by_mean_dot,
    merge_by_neighbours,
    pool,
    write_survivors,
)

MAX_GRAM_SLOTS = 32
"""Up to so many, all pairs cost less than the pairs beside each other after each merge."""
LARGE_BYTES = 8 << 20
"""One camera's tokens beyond this are pooled and written by all threads: one alone does not fill the memory bus."""


@cache
def _threads() -> ThreadPoolExecutor:
    """As many threads as torch uses; a batch's cameras wait in it, no more of them than the batch has."""
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="consolidate")


os.register_at_fork(after_in_child=_threads.cache_clear)  # threads do not survive a fork


def consolidate_cpu(problem: Problem) -> Consolidated:
    """See `memory.consolidate`; each camera on one thread, several cameras side by side.

    Raises:
        ValueError: the tokens are not on the CPU.
    """
    x, keep = problem.tokens, problem.keep
    if x.device.type != "cpu":
        raise ValueError(f"expected tokens on cpu for backend='cpu', received {x.device}")
    num_cameras, num_slots, num_tokens, stored_width = x.shape
    # NumPy makes and cuts arrays: at 18 -> 2 PyTorch's own calls would take a fourth of the time
    weights = np.empty((num_cameras, keep), np.float32)
    boundaries = np.empty((num_cameras, keep + 1), np.int32)
    num_kept, num_nonfinite = np.empty(num_cameras, np.int32), np.empty(num_cameras, np.int32)
    shape = (num_cameras, keep, num_tokens, stored_width)
    written = np.empty(shape, np.float32) if x.dtype is torch.float32 else None
    tokens = torch.empty(shape, dtype=x.dtype) if written is None else torch.from_numpy(written)
    whole = x.numpy() if x.dtype is torch.float32 and x.is_contiguous() else None
    given_weights = None if problem.weights is None else problem.weights.numpy()
    barriers = np.zeros((1, num_slots), np.bool_) if problem.barriers is None else problem.barriers.numpy()
    valid = None if problem.num_valid is None else problem.num_valid.tolist()
    merge = _way_of(problem)
    width, halving = problem.width, problem.merge == "halving"

    def merge_camera(b: int) -> None:
        num_valid = num_slots if valid is None else valid[b]
        slots = x[b, :num_valid].to(torch.float32).contiguous().numpy() if whole is None else whole[b, :num_valid]
        own = np.ones(num_valid) if given_weights is None else given_weights[b, :num_valid].astype(np.float64)
        walls = barriers[b if len(barriers) > 1 else 0]
        out = np.empty(tokens.shape[1:], np.float32) if written is None else written[b]
        num_kept[b], num_nonfinite[b] = merge(slots, own, walls, width, halving, out, weights[b], boundaries[b])
        if written is None:
            tokens[b].copy_(torch.from_numpy(out))

    if num_cameras == 1 or torch.get_num_threads() == 1:
        for b in range(num_cameras):
            merge_camera(b)
    else:
        list(_threads().map(merge_camera, range(num_cameras)))
    return Consolidated(
        tokens,
        torch.from_numpy(weights),
        torch.from_numpy(boundaries),
        num_kept=torch.from_numpy(num_kept),
        num_nonfinite=torch.from_numpy(num_nonfinite),
        backend="cpu",
    )


def _way_of(problem: Problem) -> Any:
    num_cameras, num_slots = problem.tokens.shape[:2]
    if problem.similarity == "mean_dot":
        is_large = 4 * problem.tokens.numel() > LARGE_BYTES and num_cameras == 1 and torch.get_num_threads() > 1
        return _merge_large_by_mean_dot if is_large else merge_by_mean_dot
    return merge_by_gram if num_slots <= MAX_GRAM_SLOTS and 2 * problem.keep <= num_slots else merge_by_neighbours


def _merge_large_by_mean_dot(
    tokens: Any, weights: Any, barriers: Any, width: int, halving: bool, out: Any, out_weights: Any, boundaries: Any
) -> tuple[int, int]:
    """`merge_by_mean_dot` with its two passes over the tokens cut into pieces."""
    means, shares = np.empty((len(tokens), width)), np.empty(len(tokens))
    counts = _in_pieces(lambda rows: pool(tokens[rows], weights[rows], means[rows]), len(tokens))
    num_kept = decide_by_mean_dot(means, weights, barriers, halving, shares, out_weights, boundaries)

    def write(rows: slice) -> None:
        edges = boundaries[rows.start : rows.stop + 1]
        write_survivors(tokens, shares, edges, min(max(num_kept - rows.start, 0), rows.stop - rows.start), out[rows])

    _in_pieces(write, len(out))
    return num_kept, sum(counts)


def _in_pieces(work: Callable[[slice], Any], count: int) -> list[Any]:
    """`work` on as many pieces of 0..count as there are threads."""
    num_threads = torch.get_num_threads()
    edges = [round(count * piece / num_threads) for piece in range(num_threads + 1)]
    return list(_threads().map(work, (slice(start, stop) for start, stop in pairwise(edges) if start < stop)))
