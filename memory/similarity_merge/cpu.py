"""The greedy merge on a CPU: after a merge only the two similarities beside it are made anew. It knows no Triton.

`mean_dot` decides on the pooled means [T, D] alone, in float64, and writes each survivor once as a weighted sum: two
reads of the tokens, one write. `token_cosine` keeps the means [N, W] of the segments that were merged and takes one
norm and two similarities from them per merge. No step is a matrix of all pairs: at 256 -> 128 a Gram matrix per token
position costs ten times what the pairs beside each other cost. Dot products go pair by pair through the same
instructions wherever a slot lies, and the mean of equal slots is that slot, so ties stay exact ties.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memory.similarity_merge.contract import Consolidated, Problem

_BARRIER = -float("inf")
_EMPTY_FIRST = float("inf")
_LARGEST = float(np.finfo(np.float32).max)
_EPSILON = np.float32(1e-12)  # a shorter token has no direction, as in torch.nn.functional.normalize
_FEW_SLOTS = 48
_PIECE = 32 * 1024 - 1  # numbers
_BLOCK_BYTES = 512 * 1024  # what is read twice in a row should still be in the core's cache

Array = NDArray[np.float32]


class _Merge(NamedTuple):
    """The slots start .. middle - 1 and middle .. stop - 1 became one: (1 - share) of the first, share of the other."""

    start: int
    middle: int
    stop: int
    share: float


class _Camera(NamedTuple):
    """One camera's valid slots: `tokens` [T, N, W] float32 contiguous, `weights` 0 where a slot is broken."""

    tokens: Array
    weights: list[float]
    barriers: list[bool]


class _Segments(Protocol):
    """The segments of one camera in order, as the merging sees them; `k` counts segments, oldest first."""

    def adjacent(self) -> list[float]:
        """The similarities of all neighbours."""

    def merge(self, k: int, share: float) -> None:
        """Segments k and k + 1 become one: (1 - share) of k and share of k + 1."""

    def beside(self, k: int) -> tuple[float, float]:
        """The similarities of k - 1 and k, and of k and k + 1; any number where there is no such neighbour."""


def consolidate_cpu(problem: Problem) -> Consolidated:
    """See `memory.consolidate`; one camera after the other.

    Raises:
        ValueError: the tokens are not on the CPU.
    """
    x, keep = problem.tokens, problem.keep
    if x.device.type != "cpu":
        raise ValueError(f"expected tokens on cpu for backend='cpu', received {x.device}")
    num_cameras, num_slots, num_tokens, stored_width = x.shape
    tokens = torch.empty((num_cameras, keep, num_tokens, stored_width), dtype=x.dtype)
    weights = np.zeros((num_cameras, keep), np.float32)
    boundaries = np.zeros((num_cameras, keep + 1), np.int32)
    num_kept = np.zeros(num_cameras, np.int32)
    num_nonfinite = np.zeros(num_cameras, np.int32)
    valid = [num_slots] * num_cameras if problem.num_valid is None else problem.num_valid.tolist()
    with np.errstate(all="ignore"):  # what is not finite is looked at
        for b, num_valid in enumerate(valid):
            starts: list[int] = []
            if num_valid:
                starts, kept_weights, num_nonfinite[b] = _consolidate_one(problem, b, num_valid, tokens[b])
                weights[b, : len(starts)] = kept_weights
            boundaries[b, : len(starts)] = starts
            boundaries[b, len(starts) :] = num_valid
            num_kept[b] = len(starts)
            if len(starts) < keep:
                tokens[b, len(starts) :] = 0
    return Consolidated(
        tokens,
        weights=torch.from_numpy(weights),
        boundaries=torch.from_numpy(boundaries),
        num_kept=torch.from_numpy(num_kept),
        num_nonfinite=torch.from_numpy(num_nonfinite),
        backend="cpu",
    )


def _consolidate_one(problem: Problem, b: int, num_valid: int, out: Tensor) -> tuple[list[int], list[float], int]:
    """Writes the survivors into `out` [keep, N, W]; returns their first slots, their weights, and the broken slots."""
    tokens = problem.tokens[b, :num_valid].to(torch.float32).contiguous().numpy()
    weights = [1.0] * num_valid if problem.weights is None else problem.weights[b, :num_valid].tolist()
    barriers = [False] * (num_valid - 1) if problem.barriers is None else problem.barriers[b].tolist()
    camera = _Camera(tokens, weights, barriers[: num_valid - 1])
    if problem.similarity == "mean_dot":
        pooled = _PooledMeans(camera, problem.width)
        starts, kept_weights, merges = _merge_greedily(pooled, camera, problem)
        shares = _shares(camera.weights, merges if problem.merge == "halving" else [])
    else:
        means = _TokenMeans(camera, problem.width, num_valid - problem.keep)
        starts, kept_weights, _ = _merge_greedily(means, camera, problem)
        kept_means = means.means[-len(starts) :]
    for first, last in _runs(starts, kept_weights, num_valid):
        start, stop = starts[first], num_valid if last == len(starts) else starts[last]
        if not kept_weights[first]:
            out[first].zero_()
        elif stop - start == last - first:  # slots that stay as they are
            out[first:last].copy_(torch.from_numpy(tokens[start:stop]))
        elif problem.similarity == "mean_dot":
            _write_mean(out[first], tokens[start:stop], shares[start:stop])
        else:
            out[first].copy_(kept_means[first])
    return starts, kept_weights, camera.weights.count(0.0)


def _merge_greedily(
    segments: _Segments, camera: _Camera, problem: Problem
) -> tuple[list[int], list[float], list[_Merge]]:
    """All greedy steps; returns the first slots and the weights of the segments that stay, and what was merged."""
    weights, barriers = camera.weights.copy(), camera.barriers.copy()
    num_slots, keep, halving = len(weights), problem.keep, problem.merge == "halving"
    starts = list(range(num_slots))
    similarities = np.full(num_slots, _BARRIER)  # at the first slot of each segment: with the segment after it
    for k, similarity in enumerate(segments.adjacent()):
        similarities[k] = _ranked(similarity, weights[k], weights[k + 1], barriers[k])
    merges: list[_Merge] = []
    while len(starts) > keep:
        start = int(similarities.argmax())  # the earliest of the best
        if similarities[start] == _BARRIER:
            break
        k = bisect_left(starts, start)
        left, right = weights[k], weights[k + 1]
        share = 0.5 if halving else right / ((left + right) or 1.0)
        if left == 0 or right == 0:
            share = float(left == 0)  # what weighs nothing changes nothing
        if halving:
            merges.append(_Merge(start, starts[k + 1], starts[k + 2] if k + 2 < len(starts) else num_slots, share))
        segments.merge(k, share)
        similarities[starts[k + 1]] = _BARRIER
        weights[k] = left + right
        del weights[k + 1], starts[k + 1], barriers[k]
        if len(starts) > keep:
            before, after = segments.beside(k)
            if k:
                similarities[starts[k - 1]] = _ranked(before, weights[k - 1], weights[k], barriers[k - 1])
            similarities[start] = _BARRIER
            if k + 1 < len(starts):
                similarities[start] = _ranked(after, weights[k], weights[k + 1], barriers[k])
    return starts[-keep:], weights[-keep:], merges


def _ranked(similarity: float, left_weight: float, right_weight: float, barrier: bool) -> float:
    if barrier:
        return _BARRIER
    if not (left_weight and right_weight):
        return _EMPTY_FIRST
    if -_LARGEST <= similarity <= _LARGEST:
        return similarity
    return 0.0 if similarity != similarity else math.copysign(_LARGEST, similarity)


def _runs(starts: list[int], weights: list[float], num_slots: int) -> Iterator[tuple[int, int]]:
    """Survivors first .. last - 1: one alone, or as many slots in a row as stay as they are."""
    is_one = [
        stop - start == 1 and weight > 0
        for (start, stop), weight in zip(pairwise([*starts, num_slots]), weights, strict=True)
    ]
    first = 0
    while first < len(starts):
        last = first + 1
        while is_one[first] and last < len(starts) and is_one[last]:
            last += 1
        yield first, last
        first = last


def _shares(weights: list[float], merges: list[_Merge]) -> NDArray[np.float64]:
    """How much of each slot is in its segment, up to a factor per segment; `merges` in the order they were made."""
    if not merges:
        return np.array(weights)
    shares = np.array([float(weight > 0) for weight in weights])
    for start, middle, stop, share in merges:
        shares[start:middle] *= 1 - share
        shares[middle:stop] *= share
    return shares


def _lerp(left: Tensor, right: Tensor, share: float, out: Tensor) -> None:
    """(1 - share) left + share right into `out`, all [N, W], in pieces that torch does not divide among threads.

    For so little work, waiting for a thread costs more than it saves, above all where others use the cores too.
    """
    if out.numel() <= _PIECE:
        torch.lerp(left, right, share, out=out)
        return
    flat = [tensor.view(-1) for tensor in (left, right, out)]
    for first in range(0, out.numel(), _PIECE):
        piece = slice(first, first + _PIECE)
        torch.lerp(flat[0][piece], flat[1][piece], share, out=flat[2][piece])


def _write_mean(out: Tensor, slots: Array, shares: NDArray[np.float64]) -> None:
    """The running mean of `slots` [k, N, W] with these shares, into `out` [N, W]; a slot without a share is not read.

    In pieces, as in `_lerp`.
    """
    rows = np.flatnonzero(shares)
    steps = (shares[rows] / shares[rows].cumsum()).tolist()
    mean = out if out.dtype is torch.float32 else torch.empty(out.shape)
    flat = torch.from_numpy(slots).view(len(slots), -1)
    for first in range(0, flat.shape[1], _PIECE):
        target, pieces = mean.view(-1)[first : first + _PIECE], flat[:, first : first + _PIECE]
        target.copy_(pieces[rows[0]])
        for row, step in zip(rows[1:].tolist(), steps[1:], strict=True):
            target.lerp_(pieces[row], step)
        if not math.isfinite(target.sum()):  # a difference was beyond float32
            target.copy_(torch.from_numpy(shares[rows] / shares[rows].sum()) @ pieces[rows].to(torch.float64))
    if mean is not out:
        out.copy_(mean)


class _PooledMeans:
    """`mean_dot`: the mean of all N x N dots of two slots is the dot of their pooled means [D]."""

    def __init__(self, camera: _Camera, width: int) -> None:
        num_tokens = camera.tokens.shape[1]
        pooled = np.matmul(np.ones((1, num_tokens), np.float32), camera.tokens)[:, 0].astype(np.float64)
        if not np.isfinite(pooled.sum()):
            for t in np.flatnonzero(~np.isfinite(pooled).all(1)):
                pooled[t] = camera.tokens[t].sum(0, dtype=np.float64)  # where only a sum of float32 was too large
                if not np.isfinite(camera.tokens[t]).all():
                    camera.weights[t] = 0.0
        self._pooled = pooled[:, :width] / num_tokens
        self._dots: list[list[float]] = []
        if len(pooled) <= _FEW_SLOTS:  # all dots, as plain numbers, are quicker than vectors
            self._dots = np.vecdot(self._pooled[:, None], self._pooled[None]).tolist()
        self._means = list(self._pooled)

    def adjacent(self) -> list[float]:
        if self._dots:
            return [dots[t + 1] for t, dots in enumerate(self._dots[:-1])]
        return [left.dot(right) for left, right in pairwise(self._means)]

    def merge(self, k: int, share: float) -> None:
        if self._dots:
            self._merge_dots(k, share)
            return
        left, right = self._means[k], self._means.pop(k + 1)
        if share == 1:
            self._means[k] = right
        elif share:
            mean = right - left
            mean *= share
            mean += left
            self._means[k] = mean

    def _merge_dots(self, k: int, share: float) -> None:
        """Row and column k + 1 go into those of k; what lies on the diagonal is never used."""
        dots = self._dots
        left, right = dots[k], dots.pop(k + 1)
        row = right
        if share != 1:
            row = [a + share * (b - a) for a, b in zip(left, right, strict=True)] if share else left
        dots[k] = row
        for other, dot in zip(dots, row[: k + 1] + row[k + 2 :], strict=True):
            other[k] = dot
            del other[k + 1]

    def beside(self, k: int) -> tuple[float, float]:
        if dots := self._dots:
            return dots[k][k - 1], dots[k][min(k + 1, len(dots) - 1)]
        means, mean = self._means, self._means[k]
        return (
            mean.dot(means[k - 1]) if k else 0.0,
            mean.dot(means[k + 1]) if k + 1 < len(means) else 0.0,
        )


class _TokenMeans:
    """`token_cosine`: the mean over the token positions of the cosine of two slots' tokens [N, W]."""

    def __init__(self, camera: _Camera, width: int, num_merges: int) -> None:
        num_slots, num_tokens, stored_width = camera.tokens.shape
        self._tokens = camera.tokens
        self._read = camera.tokens[:, :, :width]
        self._squares = np.empty((num_slots, num_tokens), np.float32)
        self._dots = np.empty((num_slots - 1, num_tokens), np.float32)
        rows = max(1, _BLOCK_BYTES // camera.tokens[0].nbytes)
        for first in range(0, num_slots, rows):
            block = slice(first, first + rows)
            np.vecdot(self._read[block], self._read[block], out=self._squares[block])
            last = min(first + rows, num_slots - 1)
            if first < last:
                left, right = self._read[first:last], self._read[first + 1 : last + 1]
                np.vecdot(left, right, out=self._dots[first:last])
        self._has_huge = self._find_broken(camera, width)
        self._inverses = _inverse_norm(self._squares)
        self._inverse = list(self._inverses)
        self._num_tokens = num_tokens
        self.means = list(torch.from_numpy(camera.tokens).unbind())
        self._keys = list(self._read)
        self._is_scratch = [False] * num_slots
        num_scratch = max(0, min(num_slots // 2, num_merges))
        self._scratch = list(torch.empty((num_scratch, num_tokens, stored_width)).unbind())
        self._width = width

    def _find_broken(self, camera: _Camera, width: int) -> bool:
        """Gives broken slots the weight 0; True where others have numbers whose squares are beyond float32."""
        suspect = ~np.isfinite(self._squares).all(1)
        if width < camera.tokens.shape[2]:  # similarity does not read the rest, but it must be finite too
            rest = camera.tokens[:, :, width:]
            suspect |= ~np.isfinite(np.vecdot(rest, rest)).all(1)
        has_huge = False
        for t in np.flatnonzero(suspect):
            if np.isfinite(camera.tokens[t]).all():
                has_huge = True
            else:
                camera.weights[t] = 0.0
        return has_huge

    def adjacent(self) -> list[float]:
        inverse = self._inverses
        totals = np.vecdot(self._dots * inverse[:-1], inverse[1:])
        for t in np.flatnonzero(~np.isfinite(totals)):
            totals[t] = _sum_of_cosines(self._dots[t], inverse[t], inverse[t + 1])
        return [total / self._num_tokens for total in totals.tolist()]

    def merge(self, k: int, share: float) -> None:
        means, is_scratch = self.means, self._is_scratch
        left, right = means[k], means.pop(k + 1)
        left_is_scratch, right_is_scratch = is_scratch[k], is_scratch.pop(k + 1)
        key, inverse = self._keys.pop(k + 1), self._inverse.pop(k + 1)
        if share == 0 or share == 1:
            if share == 1:
                means[k], is_scratch[k], self._keys[k], self._inverse[k] = right, right_is_scratch, key, inverse
            freed, was_scratch = (left, left_is_scratch) if share else (right, right_is_scratch)
            if was_scratch:
                self._scratch.append(freed)
            return
        if left_is_scratch:
            mean = left
            if right_is_scratch:
                self._scratch.append(right)
        else:
            mean = right if right_is_scratch else self._scratch.pop()
        if self._has_huge:  # right - left could be too large
            mean.copy_(torch.where(left == right, left, left * (1 - share) + right * share))
        else:
            _lerp(left, right, share, mean)
        if not left_is_scratch:
            means[k], is_scratch[k] = mean, True
            self._keys[k] = key if right_is_scratch else mean.numpy()[:, : self._width]

    def beside(self, k: int) -> tuple[float, float]:
        keys, inverse = self._keys, self._inverse
        key = keys[k]
        own = inverse[k] = _inverse_norm(np.vecdot(key, key))
        before = after = 0.0
        if k:
            before = _sum_of_cosines(np.vecdot(keys[k - 1], key), inverse[k - 1], own) / self._num_tokens
        if k + 1 < len(keys):
            after = _sum_of_cosines(np.vecdot(key, keys[k + 1]), own, inverse[k + 1]) / self._num_tokens
        return before, after


def _inverse_norm(squares: Array) -> Array:
    """1 / |x|; 0 where the square is beyond float32: such a token has no direction."""
    norms = np.sqrt(squares)
    np.maximum(norms, _EPSILON, out=norms)
    return np.reciprocal(norms, out=norms)


def _sum_of_cosines(dot: Array, left_inverse: Array, right_inverse: Array) -> float:
    total = float((dot * left_inverse).dot(right_inverse))
    if total == total:
        return total
    cosines = dot * left_inverse * right_inverse  # of tokens without a direction: 0
    return float(cosines[np.isfinite(cosines)].sum(dtype=np.float32))
