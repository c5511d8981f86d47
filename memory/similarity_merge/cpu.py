"""The greedy merge on a CPU, compiled by Numba; after a merge only the two similarities beside it are made anew.

`mean_dot` decides on the pooled means [T, D] alone and writes each survivor once as a weighted mean: two reads of the
tokens, one write. `token_cosine` keeps the means [N, W] of the segments that were merged; one pass over two of them
gives their mean, its norms and its dots with both neighbours. No step is a matrix of all pairs: at 256 -> 128 a Gram
matrix per token position costs ten times what the pairs beside each other cost. Every dot goes through the same
instructions wherever a slot lies, and the mean of equal slots is that slot, so ties stay exact ties.

Compiling takes some seconds at the first call on a machine; Numba keeps the result beside this file. The interpreter's
lock is not held meanwhile. It knows no Triton.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, no-any-unimported"

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np
import torch

from memory.similarity_merge.contract import Consolidated, Problem

_BARRIER = -np.inf
_EMPTY_FIRST = np.inf
_LARGEST = float(np.finfo(np.float32).max)
_EPSILON = np.float32(1e-12)  # a shorter token has no direction, as in torch.nn.functional.normalize
_BLOCK = 4096  # numbers of a survivor that stay in the level 1 cache while its slots pass by
_POOLED_TOKENS = 32  # as many are added in float32 before their sum goes on in float64


def _jit(function: Any) -> Any:
    """Sums may be taken in any order, so that they fill vector registers; NaN and Inf keep their meaning."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write the compiled code: it is compiled at each start
        return numba.njit(**options)(function)


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
    tokens = torch.empty((num_cameras, keep, num_tokens, stored_width), dtype=x.dtype)
    weights = torch.empty((num_cameras, keep))
    boundaries = torch.empty((num_cameras, keep + 1), dtype=torch.int32)
    num_kept = torch.empty(num_cameras, dtype=torch.int32)
    num_nonfinite = torch.empty(num_cameras, dtype=torch.int32)
    # from here on NumPy's views: at 18 -> 2 PyTorch's own would take a fourth of the time
    whole = x.numpy() if x.dtype is torch.float32 and x.is_contiguous() else None
    written = tokens.numpy() if x.dtype is torch.float32 else None
    kept_weights, kept_boundaries = weights.numpy(), boundaries.numpy()
    kept, nonfinite = num_kept.numpy(), num_nonfinite.numpy()
    given_weights = None if problem.weights is None else problem.weights.numpy()
    barriers = np.zeros((1, num_slots), np.bool_) if problem.barriers is None else problem.barriers.numpy()
    valid = None if problem.num_valid is None else problem.num_valid.tolist()
    merge = _merge_by_mean_dot if problem.similarity == "mean_dot" else _merge_by_token_cosine
    width, halving = problem.width, problem.merge == "halving"

    def merge_camera(b: int) -> None:
        num_valid = num_slots if valid is None else valid[b]
        slots = x[b, :num_valid].to(torch.float32).contiguous().numpy() if whole is None else whole[b, :num_valid]
        own = np.ones(num_valid) if given_weights is None else given_weights[b, :num_valid].astype(np.float64)
        walls = barriers[b if len(barriers) > 1 else 0]
        out = np.empty(tokens.shape[1:], np.float32) if written is None else written[b]
        kept[b], nonfinite[b] = merge(slots, own, walls, width, halving, out, kept_weights[b], kept_boundaries[b])
        if written is None:
            tokens[b].copy_(torch.from_numpy(out))

    if num_cameras == 1 or torch.get_num_threads() == 1:
        for b in range(num_cameras):
            merge_camera(b)
    else:
        list(_pool().map(merge_camera, range(num_cameras)))
    return Consolidated(tokens, weights, boundaries, num_kept=num_kept, num_nonfinite=num_nonfinite, backend="cpu")


@_jit
def _ranked(similarity, left_weight, right_weight, barrier):
    """A similarity as it is compared: a barrier comes last, what weighs nothing first, what is too large is finite."""
    if barrier:
        return _BARRIER
    if left_weight == 0.0 or right_weight == 0.0:
        return _EMPTY_FIRST
    if math.isnan(similarity):
        return 0.0
    return min(max(similarity, -_LARGEST), _LARGEST)


@_jit
def _share_of_right(left_weight, right_weight, halving):
    if left_weight == 0.0:
        return 1.0  # what weighs nothing changes nothing; of two such, the right one is as good
    if right_weight == 0.0:
        return 0.0
    return 0.5 if halving else right_weight / (left_weight + right_weight)


@_jit
def _best(similarities, following, num_slots):
    """The first slot of the pair that is most alike, the earliest of equals; -1 where nothing may be merged."""
    best, at = _BARRIER, -1
    t = 0
    while following[t] < num_slots:
        if similarities[t] > best:
            best, at = similarities[t], t
        t = following[t]
    return at


@_jit
def _finish(following, weights, num_slots, num_left, out_weights, boundaries):
    """Writes weights and boundaries of the newest segments that fit; returns the first slot of the first of them."""
    keep = len(out_weights)
    first = 0
    for _ in range(num_left - keep):
        first = following[first]
    t, k = first, 0
    while t < num_slots:
        boundaries[k], out_weights[k] = t, weights[t]
        t = following[t]
        k += 1
    for rest in range(k, keep):
        boundaries[rest], out_weights[rest] = num_slots, 0.0
    boundaries[keep] = num_slots
    return first


@_jit
def _dot(left, right, width):
    total = np.float32(0.0)
    for d in range(width):
        total += left[d] * right[d]
    return total


@_jit
def _square_and_dot(before, token, width):
    """The square of `token`, and its dot with the one before: in one loop, each number is loaded once."""
    square = dot = np.float32(0.0)
    for d in range(width):
        square += token[d] * token[d]
        dot += before[d] * token[d]
    return square, dot


@_jit
def _square_and_dots(before, mean, after, width):
    """As `_square_and_dot`, with both neighbours."""
    square = dot_before = dot_after = np.float32(0.0)
    for d in range(width):
        square += mean[d] * mean[d]
        dot_before += before[d] * mean[d]
        dot_after += mean[d] * after[d]
    return square, dot_before, dot_after


@_jit
def _inverse_norm(square):
    """1 / |x|; 0 where the square is beyond float32: such a token has no direction."""
    return np.float32(1.0) / max(np.sqrt(square), _EPSILON)


@_jit
def _cosine(dot, left_inverse, right_inverse):
    cosine = dot * left_inverse * right_inverse
    return cosine if math.isfinite(cosine) else np.float32(0.0)


@_jit
def _is_finite(slot):
    """slot: [N, W]; whether all of it is finite."""
    for n in range(slot.shape[0]):
        nothing = np.float32(0.0)
        for w in range(slot.shape[1]):
            nothing += slot[n, w] * np.float32(0.0)  # NaN for what is not finite
        if nothing != 0.0:
            return False
    return True


@_jit
def _blend(left, right, share, mean):
    """(1 - share) left + share right, [W] each; equal numbers stay what they are."""
    for w in range(len(mean)):
        mean[w] = left[w] + (right[w] - left[w]) * share


@_jit
def _blend_huge(left, right, share, mean):
    """As `_blend`, where a difference could be beyond float32."""
    for w in range(len(mean)):
        first, second = np.float64(left[w]), np.float64(right[w])
        mean[w] = first + (second - first) * share


@_jit
def _merge_by_token_cosine(tokens, weights, barriers, width, halving, out, out_weights, boundaries):
    """tokens: float32 [T, N, W]; weights: float64 [T], changed; out: float32 [keep, N, W]; returns what was kept, and
    how many slots were not finite."""
    num_slots, num_tokens, stored_width = tokens.shape
    keep = out.shape[0]
    inverse = np.empty((num_slots, num_tokens), np.float32)
    similarities = np.full(num_slots, _BARRIER)
    num_nonfinite, has_huge = 0, False
    for t in range(num_slots):
        is_suspect, total, earlier = False, 0.0, max(0, t - 1)
        for n in range(num_tokens):
            square, dot = _square_and_dot(tokens[earlier, n], tokens[t, n], width)
            own = _inverse_norm(square)
            total += _cosine(dot, inverse[earlier, n] if t > 0 else own, own)
            inverse[t, n] = own
            if width < stored_width:
                square = _dot(tokens[t, n], tokens[t, n], stored_width)
            is_suspect |= not math.isfinite(square)
        if is_suspect:
            if _is_finite(tokens[t]):
                has_huge = True
            else:
                weights[t] = 0.0
                num_nonfinite += 1
        if t > 0:
            similarities[t - 1] = _ranked(total / num_tokens, weights[t - 1], weights[t], barriers[t - 1])
    # a segment is known by its first slot; its mean is a slot of `tokens` (place >= 0) or of `scratch` (~place)
    following, before, place = np.arange(1, num_slots + 1), np.arange(-1, num_slots - 1), np.arange(num_slots)
    scratch = np.empty((max(1, min(num_slots // 2, num_slots - keep)), num_tokens, stored_width), np.float32)
    free = np.arange(len(scratch))
    num_free, num_left = len(scratch), num_slots
    while num_left > keep:
        i = _best(similarities, following, num_slots)
        if i < 0:
            break
        j = following[i]
        p, q = before[i], following[j]
        share = np.float32(_share_of_right(weights[i], weights[j], halving))
        if share == 0.0 or share == 1.0:  # one of them as it is
            kept, left_over = (i, j) if share == 0.0 else (j, i)
            if place[left_over] < 0:
                free[num_free] = ~place[left_over]
                num_free += 1
            place[i], inverse[i] = place[kept], inverse[kept]
            mean = tokens[place[i]] if place[i] >= 0 else scratch[~place[i]]
            left = right = mean
        else:
            left = tokens[place[i]] if place[i] >= 0 else scratch[~place[i]]
            right = tokens[place[j]] if place[j] >= 0 else scratch[~place[j]]
            if place[i] < 0 and place[j] < 0:
                free[num_free] = ~place[j]
                num_free += 1
            elif place[i] >= 0 and place[j] < 0:
                place[i] = place[j]
            elif place[i] >= 0:
                num_free -= 1
                place[i] = ~free[num_free]
            mean = scratch[~place[i]]
        weights[i] += weights[j]
        following[i] = q
        if q < num_slots:
            before[q] = i
            barriers_ij = barriers[q - 1]
        else:
            barriers_ij = True
        num_left -= 1
        previous = mean if p < 0 else (tokens[place[p]] if place[p] >= 0 else scratch[~place[p]])
        after = mean if q >= num_slots else (tokens[place[q]] if place[q] >= 0 else scratch[~place[q]])
        total_before = total_after = 0.0
        for n in range(num_tokens):
            mean_n = mean[n]
            if has_huge:
                _blend_huge(left[n], right[n], share, mean_n)
            else:
                _blend(left[n], right[n], share, mean_n)
            square, dot_before, dot_after = _square_and_dots(previous[n], mean_n, after[n], width)
            own = _inverse_norm(square)
            inverse[i, n] = own
            if p >= 0:
                total_before += _cosine(dot_before, inverse[p, n], own)
            if q < num_slots:
                total_after += _cosine(dot_after, own, inverse[q, n])
        if p >= 0:
            similarities[p] = _ranked(total_before / num_tokens, weights[p], weights[i], barriers[i - 1])
        similarities[i] = _BARRIER
        if q < num_slots:
            similarities[i] = _ranked(total_after / num_tokens, weights[i], weights[q], barriers_ij)
    t = _finish(following, weights, num_slots, num_left, out_weights, boundaries)
    num_kept = min(num_left, keep)
    for k in range(num_kept):
        if weights[t] == 0.0:
            out[k] = 0.0
        elif place[t] >= 0:
            out[k] = tokens[place[t]]
        else:
            out[k] = scratch[~place[t]]
        t = following[t]
    out[num_kept:] = 0.0
    return num_kept, num_nonfinite


@_jit
def _merge_by_mean_dot(tokens, weights, barriers, width, halving, out, out_weights, boundaries):
    """As `_merge_by_token_cosine`; the mean of all N x N dots of two slots is the dot of their pooled means [D]."""
    num_slots = tokens.shape[0]
    keep = out.shape[0]
    means = np.empty((num_slots, width))
    num_nonfinite = _pooled(tokens, weights, means)
    shares = np.empty(num_slots)
    similarities = np.full(num_slots, _BARRIER)
    for t in range(num_slots):
        shares[t] = 1.0 if weights[t] > 0.0 else 0.0
        if t > 0:
            dot = _dot64(means[t - 1], means[t])
            similarities[t - 1] = _ranked(dot, weights[t - 1], weights[t], barriers[t - 1])
    own_weights = weights.copy()
    following, before = np.arange(1, num_slots + 1), np.arange(-1, num_slots - 1)
    num_left = num_slots
    while num_left > keep:
        i = _best(similarities, following, num_slots)
        if i < 0:
            break
        j = following[i]
        p, q = before[i], following[j]
        share = _share_of_right(weights[i], weights[j], halving)
        for d in range(width):
            left, right = means[i, d], means[j, d]
            means[i, d] = left + (right - left) * share if left != right and share < 1.0 else right
        if halving:
            shares[i:j] *= 1.0 - share
            shares[j:q] *= share
        weights[i] += weights[j]
        following[i] = q
        num_left -= 1
        if p >= 0:
            similarities[p] = _ranked(_dot64(means[p], means[i]), weights[p], weights[i], barriers[i - 1])
        similarities[i] = _BARRIER
        if q < num_slots:
            before[q] = i
            similarities[i] = _ranked(_dot64(means[i], means[q]), weights[i], weights[q], barriers[q - 1])
    t = _finish(following, weights, num_slots, num_left, out_weights, boundaries)
    num_kept = min(num_left, keep)
    for k in range(num_kept):
        start, stop = t, following[t]
        _write_mean(out[k], tokens[start:stop], shares[start:stop] if halving else own_weights[start:stop])
        t = stop
    out[num_kept:] = 0.0
    return num_kept, num_nonfinite


@_jit
def _dot64(left, right):
    total = 0.0
    for d in range(len(left)):
        total += left[d] * right[d]
    return total


@_jit
def _pooled(tokens, weights, means):
    """means [T, D]: of the N tokens of each slot, the first D channels; broken slots get weight 0 and are counted."""
    num_slots, num_tokens, stored_width = tokens.shape
    width = means.shape[1]
    num_nonfinite = 0
    sums = np.empty(stored_width, np.float32)
    for t in range(num_slots):
        means[t] = 0.0
        nothing = np.float32(0.0)
        for first in range(0, num_tokens, _POOLED_TOKENS):
            sums[:] = 0.0
            for n in range(first, min(first + _POOLED_TOKENS, num_tokens)):
                token = tokens[t, n]
                for w in range(stored_width):
                    sums[w] += token[w]
            for w in range(stored_width):
                nothing += sums[w] * np.float32(0.0)
            for d in range(width):
                means[t, d] += sums[d]
        if nothing != 0.0:
            if not _is_finite(tokens[t]):
                weights[t] = 0.0
                num_nonfinite += 1
                means[t] = 0.0
                continue
            for d in range(width):  # only a sum in float32 was too large
                total = 0.0
                for n in range(num_tokens):
                    total += np.float64(tokens[t, n, d])
                means[t, d] = total
        for d in range(width):
            means[t, d] /= num_tokens
    return num_nonfinite


@_jit
def _write_mean(out, slots, shares):
    """The running mean of `slots` [k, N, W] with these shares, into `out` [N, W]; one without a share is not read."""
    flat, target = slots.reshape(slots.shape[0], -1), out.reshape(-1)
    steps = np.empty(len(shares), np.float32)
    total = 0.0
    for t in range(len(shares)):
        total += shares[t]
        steps[t] = shares[t] / total if total > 0.0 else 0.0
    for first in range(0, len(target), _BLOCK):
        last = min(first + _BLOCK, len(target))
        piece = target[first:last]
        is_begun = False
        for t in range(len(shares)):
            if shares[t] == 0.0:
                continue
            slot, step = flat[t, first:last], steps[t]
            if not is_begun:
                piece[:] = slot
                is_begun = True
                continue
            for d in range(len(piece)):
                piece[d] += (slot[d] - piece[d]) * step
        if not is_begun:
            piece[:] = 0.0
        elif not math.isfinite(piece.sum()):  # a difference was beyond float32
            for d in range(len(piece)):
                exact = 0.0
                for t in range(len(shares)):
                    if shares[t] > 0.0:
                        exact += shares[t] / total * np.float64(flat[t, first + d])
                piece[d] = exact
