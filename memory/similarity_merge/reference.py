"""The greedy merge in plain torch, readable first: what the others are held against. It runs on any device.

MovieChat (arXiv 2307.16449), algorithm 1, with weights. Bytes that must move: every valid slot is read twice (once to
decide, once to merge) and every survivor is written once: 2 T N W + keep N W elements per camera. This one moves
more, in cache: each merge reads two slots and writes one.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from memory.similarity_merge.contract import Consolidated, Problem

_BARRIER = -torch.inf
_EMPTY_FIRST = torch.inf


class _Segment(NamedTuple):
    """Slots `start` .. merged into one: mean [N, W] float32, and its key: similarity is the dot of two keys."""

    start: int
    weight: float
    mean: Tensor
    key: Tensor
    barrier_before: bool


def consolidate_reference(problem: Problem) -> Consolidated:
    """See `memory.consolidate`; one camera after the other, one merge after the other."""
    num_cameras, num_slots, num_tokens, stored_width = problem.tokens.shape
    device = problem.tokens.device
    tokens = torch.zeros(
        (num_cameras, problem.keep, num_tokens, stored_width), dtype=problem.tokens.dtype, device=device
    )
    weights = torch.zeros((num_cameras, problem.keep))
    boundaries = torch.zeros((num_cameras, problem.keep + 1), dtype=torch.int32)
    num_kept = torch.zeros(num_cameras, dtype=torch.int32)
    num_nonfinite = torch.zeros(num_cameras, dtype=torch.int32)
    valid = [num_slots] * num_cameras if problem.num_valid is None else problem.num_valid.tolist()
    for b in range(num_cameras):
        segments, num_nonfinite[b] = _segments(problem, b, valid[b])
        kept = _merge_greedily(problem, segments)[-problem.keep :]
        num_kept[b] = len(kept)
        boundaries[b] = valid[b]
        for k, segment in enumerate(kept):
            tokens[b, k] = segment.mean
            weights[b, k] = segment.weight
            boundaries[b, k] = segment.start
    return Consolidated(
        tokens, weights.to(device), boundaries.to(device), num_kept.to(device), num_nonfinite.to(device), "torch"
    )


def _segments(problem: Problem, b: int, num_valid: int) -> tuple[list[_Segment], int]:
    slots = problem.tokens[b, :num_valid].to(torch.float32)
    weights = [1.0] * num_valid if problem.weights is None else problem.weights[b, :num_valid].tolist()
    barriers = [False] * num_valid if problem.barriers is None else [False, *problem.barriers[b].tolist()]
    finite: list[bool] = torch.isfinite(slots).flatten(1).all(1).tolist()
    segments = []
    for t in range(num_valid):
        mean = slots[t] if finite[t] else torch.zeros_like(slots[t])
        weight = weights[t] if finite[t] else 0.0
        segments.append(_Segment(t, weight, mean, _key(problem, mean), barriers[t]))
    return segments, num_valid - sum(finite)


def _key(problem: Problem, mean: Tensor) -> Tensor:
    """[N * D] or [D]: the dot of two slots' keys is their similarity."""
    read = mean[:, : problem.width]
    if problem.similarity == "mean_dot":
        return read.mean(0)
    directions: Tensor = torch.nn.functional.normalize(read, dim=1)
    return directions.flatten() / math.sqrt(len(read))


def _similarity(left: _Segment, right: _Segment) -> float:
    if right.barrier_before:
        return _BARRIER
    if left.weight == 0 or right.weight == 0:
        return _EMPTY_FIRST
    return float((left.key * right.key).sum().nan_to_num(0.0))


def _merge_greedily(problem: Problem, segments: list[_Segment]) -> list[_Segment]:
    similarities = [_similarity(left, right) for left, right in pairwise(segments)]
    while len(segments) > problem.keep:
        best = max(similarities)
        if best == _BARRIER:
            break
        i = similarities.index(best)  # the earliest of the best
        segments[i : i + 2] = [_merged(problem, segments[i], segments[i + 1])]
        del similarities[i]
        if i > 0:
            similarities[i - 1] = _similarity(segments[i - 1], segments[i])
        if i < len(similarities):
            similarities[i] = _similarity(segments[i], segments[i + 1])
    return segments


def _merged(problem: Problem, left: _Segment, right: _Segment) -> _Segment:
    weight = left.weight + right.weight
    if left.weight == 0 or right.weight == 0:  # what weighs nothing changes nothing
        heavy = right if left.weight == 0 else left
        return _Segment(left.start, weight, heavy.mean, heavy.key, left.barrier_before)
    share = 0.5 if problem.merge == "halving" else right.weight / weight
    mean = left.mean * (1 - share) + right.mean * share
    mean = torch.where(left.mean == right.mean, left.mean, mean)  # equal slots stay exactly equal: ties stay ties
    return _Segment(left.start, weight, mean, _key(problem, mean), left.barrier_before)
