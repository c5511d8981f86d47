"""`token_cosine` of many slots on a CPU: after a merge only the two similarities beside it are made anew.

The means [N, W] of the segments that were merged are kept; one pass over two of them gives their mean, its norms and
its dots with both neighbours. No step is a matrix of all pairs: at 256 -> 128 a Gram matrix per token position costs
ten times what the pairs beside each other cost. See `cpu_gram` for few slots.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, no-any-unimported"

import math

import numpy as np

from memory.similarity_merge.cpu_steps import (
    BARRIER,
    best,
    cosine,
    finish,
    inverse_norm,
    is_finite,
    jit,
    ranked,
    share_of_right,
)


@jit
def _dot(left, right, width):
    total = np.float32(0.0)
    for d in range(width):
        total += left[d] * right[d]
    return total


@jit
def _square_and_dot(before, token, width):
    """The square of `token`, and its dot with the one before: in one loop, each number is loaded once."""
    square = dot = np.float32(0.0)
    for d in range(width):
        square += token[d] * token[d]
        dot += before[d] * token[d]
    return square, dot


@jit
def _square_and_dots(before, mean, after, width):
    """As `_square_and_dot`, with both neighbours."""
    square = dot_before = dot_after = np.float32(0.0)
    for d in range(width):
        square += mean[d] * mean[d]
        dot_before += before[d] * mean[d]
        dot_after += mean[d] * after[d]
    return square, dot_before, dot_after


@jit
def _blend(left, right, share, mean):
    """(1 - share) left + share right, [W] each; equal numbers stay what they are."""
    for w in range(len(mean)):
        mean[w] = left[w] + (right[w] - left[w]) * share


@jit
def _blend_huge(left, right, share, mean):
    """As `_blend`, where a difference could be beyond float32."""
    for w in range(len(mean)):
        first, second = np.float64(left[w]), np.float64(right[w])
        mean[w] = first + (second - first) * share


@jit
def merge_by_token_cosine(tokens, weights, barriers, width, halving, out, out_weights, boundaries):
    """tokens: float32 [T, N, W]; weights: float64 [T], changed; out: float32 [keep, N, W]; returns what was kept, and
    how many slots were not finite."""
    num_slots, num_tokens, stored_width = tokens.shape
    keep = out.shape[0]
    inverse = np.empty((num_slots, num_tokens), np.float32)
    similarities = np.full(num_slots, BARRIER)
    num_nonfinite, has_huge = 0, False
    for t in range(num_slots):
        is_suspect, total, earlier = False, 0.0, max(0, t - 1)
        for n in range(num_tokens):
            square, dot = _square_and_dot(tokens[earlier, n], tokens[t, n], width)
            own = inverse_norm(square)
            total += cosine(dot, inverse[earlier, n] if t > 0 else own, own)
            inverse[t, n] = own
            if width < stored_width:
                square = _dot(tokens[t, n], tokens[t, n], stored_width)
            is_suspect |= not math.isfinite(square)
        if is_suspect:
            if is_finite(tokens[t]):
                has_huge = True
            else:
                weights[t] = 0.0
                num_nonfinite += 1
        if t > 0:
            similarities[t - 1] = ranked(total / num_tokens, weights[t - 1], weights[t], barriers[t - 1])
    # a segment is known by its first slot; its mean is a slot of `tokens` (place >= 0) or of `scratch` (~place)
    following, before, place = np.arange(1, num_slots + 1), np.arange(-1, num_slots - 1), np.arange(num_slots)
    scratch = np.empty((max(1, min(num_slots // 2, num_slots - keep)), num_tokens, stored_width), np.float32)
    free = np.arange(len(scratch))
    num_free, num_left = len(scratch), num_slots
    while num_left > keep:
        i = best(similarities, following, num_slots)
        if i < 0:
            break
        j = following[i]
        p, q = before[i], following[j]
        share = np.float32(share_of_right(weights[i], weights[j], halving))
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
            own = inverse_norm(square)
            inverse[i, n] = own
            if p >= 0:
                total_before += cosine(dot_before, inverse[p, n], own)
            if q < num_slots:
                total_after += cosine(dot_after, own, inverse[q, n])
        if p >= 0:
            similarities[p] = ranked(total_before / num_tokens, weights[p], weights[i], barriers[i - 1])
        similarities[i] = BARRIER
        if q < num_slots:
            similarities[i] = ranked(total_after / num_tokens, weights[i], weights[q], barriers_ij)
    t = finish(following, weights, num_slots, num_left, out_weights, boundaries)
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
