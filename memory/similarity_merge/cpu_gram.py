"""`token_cosine` of few slots on a CPU: all is decided from the Gram matrix of each token position.

A merge is linear, so the dots of a mean follow from those of its two halves; the tokens are read once for the dots of
all pairs, in tiles of 3 x 3 that stay in registers, and once for the survivors. Equal dots blend to themselves, so ties
stay exact.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, no-any-unimported"

import math

import numpy as np

from memory.similarity_merge.cpu_steps import BARRIER, best, finish, is_finite, jit, ranked, share_of_right, write_mean
from memory.similarity_merge.cpu_token_cosine import merge_by_token_cosine

_EPSILON = 1e-12


@jit
def merge_by_gram(tokens, weights, barriers, width, halving, out, out_weights, boundaries):
    """tokens: float32 [T, N, W]; weights: float64 [T], changed; out: float32 [keep, N, W]; returns what was kept, and
    how many slots were not finite."""
    num_slots, num_tokens, stored_width = tokens.shape
    keep = out.shape[0]
    gram = np.empty((num_slots, num_slots, num_tokens))
    inverse = np.empty((num_slots, num_tokens))
    _fill(tokens, width, gram)
    num_nonfinite, has_huge, given_weights = 0, False, weights.copy()
    for t in range(num_slots):
        if _is_suspect(tokens[t], gram[t, t], width < stored_width):
            if is_finite(tokens[t]):
                has_huge = True
            else:
                weights[t] = 0.0
                num_nonfinite += 1
        _invert(gram[t, t], inverse[t])
    if has_huge:  # its dots are beyond float32, those of its means perhaps not
        return merge_by_token_cosine(tokens, given_weights, barriers, width, halving, out, out_weights, boundaries)
    shares, own_weights = np.where(weights > 0.0, 1.0, 0.0), weights.copy()
    similarities = np.full(num_slots, BARRIER)
    for t in range(num_slots - 1):
        cosine = _mean_cosine(gram[t, t + 1], inverse[t], inverse[t + 1])
        similarities[t] = ranked(cosine, weights[t], weights[t + 1], barriers[t])
    following, before = np.arange(1, num_slots + 1), np.arange(-1, num_slots - 1)
    num_left = num_slots
    while num_left > keep:
        i = best(similarities, following, num_slots)
        if i < 0:
            break
        j = following[i]
        p, q = before[i], following[j]
        share = share_of_right(weights[i], weights[j], halving)
        if share > 0.0:
            _merge_rows(gram, following, i, j, share)
            _invert(gram[i, i], inverse[i])
        if halving:
            shares[i:j] *= 1.0 - share
            shares[j:q] *= share
        weights[i] += weights[j]
        following[i] = q
        num_left -= 1
        if p >= 0:
            cosine = _mean_cosine(gram[p, i], inverse[p], inverse[i])
            similarities[p] = ranked(cosine, weights[p], weights[i], barriers[i - 1])
        similarities[i] = BARRIER
        if q < num_slots:
            before[q] = i
            cosine = _mean_cosine(gram[i, q], inverse[i], inverse[q])
            similarities[i] = ranked(cosine, weights[i], weights[q], barriers[q - 1])
    t = finish(following, weights, num_slots, num_left, out_weights, boundaries)
    num_kept = min(num_left, keep)
    for k in range(num_kept):
        start, t = t, following[t]
        write_mean(out[k], tokens[start:t], shares[start:t] if halving else own_weights[start:t])
    out[num_kept:] = 0.0
    return num_kept, num_nonfinite


@jit
def _fill(tokens, width, gram):
    """gram [T, T, N] on and above the diagonal; every dot by the same instructions, so the last tile may overlap."""
    num_slots, num_tokens, _ = tokens.shape
    last = num_slots - 1
    for n in range(num_tokens):
        for i in range(0, num_slots, 3):
            for k in range(i, num_slots, 3):
                _tile(
                    tokens,
                    n,
                    (i, min(i + 1, last), min(i + 2, last)),
                    (k, min(k + 1, last), min(k + 2, last)),
                    width,
                    gram,
                )


@jit
def _tile(tokens, n, rows, columns, width, gram):
    """3 x 3 dots of token n: six numbers are loaded for nine products."""
    i, j, k = rows
    p, q, r = columns
    ip = iq = ir = jp = jq = jr = kp = kq = kr = np.float32(0.0)
    for d in range(width):
        a, b, c = tokens[i, n, d], tokens[j, n, d], tokens[k, n, d]
        x, y, z = tokens[p, n, d], tokens[q, n, d], tokens[r, n, d]
        ip += a * x
        iq += a * y
        ir += a * z
        jp += b * x
        jq += b * y
        jr += b * z
        kp += c * x
        kq += c * y
        kr += c * z
    gram[i, p, n], gram[i, q, n], gram[i, r, n] = ip, iq, ir
    gram[j, p, n], gram[j, q, n], gram[j, r, n] = jp, jq, jr
    gram[k, p, n], gram[k, q, n], gram[k, r, n] = kp, kq, kr


@jit
def _is_suspect(slot, squares, has_more_channels):
    """Whether anything in the slot may be NaN, Inf or huge: its squares [N] tell, of the channels that they cover."""
    total = 0.0
    for n in range(len(squares)):
        total += squares[n]
    if has_more_channels:
        return not (math.isfinite(total) and is_finite(slot))
    return not math.isfinite(total)


@jit
def _invert(squares, inverse):
    for n in range(len(squares)):
        inverse[n] = 1.0 / max(math.sqrt(max(squares[n], 0.0)), _EPSILON)


@jit
def _mean_cosine(dots, left_inverse, right_inverse):
    total = 0.0
    for n in range(len(dots)):
        total += dots[n] * left_inverse[n] * right_inverse[n]
    return total / len(dots)


@jit
def _merge_rows(gram, following, i, j, share):
    """The dots of the mean of i and j with all segments, in place of those of i; nothing of i where share is 1."""
    num_slots = len(following)
    if share == 1.0:
        gram[i, i] = gram[j, j]
    else:
        _blend(gram[i, i], gram[i, j], share)
        _blend(gram[i, j], gram[j, j], share)
        _blend(gram[i, i], gram[i, j], share)
    t = 0
    while t < i:
        if share == 1.0:
            gram[t, i] = gram[t, j]
        else:
            _blend(gram[t, i], gram[t, j], share)
        t = following[t]
    t = following[j]
    while t < num_slots:
        if share == 1.0:
            gram[i, t] = gram[j, t]
        else:
            _blend(gram[i, t], gram[j, t], share)
        t = following[t]


@jit
def _blend(left, right, share):
    """left becomes (1 - share) left + share right; equal numbers stay what they are."""
    for n in range(len(left)):
        left[n] += (right[n] - left[n]) * share
