"""The greedy merge on a CPU: each camera on one thread, in compiled code, by the way that suits its number of slots.

It knows no Triton.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch

from memory.similarity_merge.contract import Consolidated, Problem
from memory.similarity_merge.cpu_compiled import merge_by_gram, merge_by_mean_dot, merge_by_neighbours

MAX_GRAM_SLOTS = 32
"""Up to so many, all pairs cost less than the pairs beside each other after each merge."""


@cache
def _pool() -> ThreadPoolExecutor:
    """As many threads as torch uses; a batch's cameras wait in it, no more of them than the batch has."""
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="consolidate")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


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
    tokens = torch.empty((num_cameras, keep, num_tokens, stored_width), dtype=x.dtype)
    whole = x.numpy() if x.dtype is torch.float32 and x.is_contiguous() else None
    written = tokens.numpy() if x.dtype is torch.float32 else None
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
        list(_pool().map(merge_camera, range(num_cameras)))
    return Consolidated(
        tokens,
        torch.from_numpy(weights),
        torch.from_numpy(boundaries),
        num_kept=torch.from_numpy(num_kept),
        num_nonfinite=torch.from_numpy(num_nonfinite),
        backend="cpu",
    )


def _way_of(problem: Problem) -> Any:
    if problem.similarity == "mean_dot":
        return merge_by_mean_dot
    num_slots = problem.tokens.shape[1]
    return merge_by_gram if num_slots <= MAX_GRAM_SLOTS and 2 * problem.keep <= num_slots else merge_by_neighbours
