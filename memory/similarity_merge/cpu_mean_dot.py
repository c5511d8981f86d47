"""`mean_dot` on a CPU: decides on the pooled means [T, D] alone, and writes each survivor once as a weighted mean.

Two reads of the tokens, one write.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, no-any-unimported"

import numpy as np

from memory.similarity_merge.cpu_steps import BARRIER, best, finish, is_finite, jit, ranked, share_of_right, write_mean

_POOLED_TOKENS = 32  # as many are added in float32 before their sum goes on in float64


@jit
def merge_by_mean_dot(tokens, weights, barriers, width, halving, out, out_weights, boundaries):
    """As `merge_by_token_cosine`; the mean of all N x N dots of two slots is the dot of their pooled means [D]."""
    num_slots = tokens.shape[0]
    keep = out.shape[0]
    means = np.empty((num_slots, width))
    num_nonfinite = _pooled(tokens, weights, means)
    shares = np.empty(num_slots)
    similarities = np.full(num_slots, BARRIER)
    for t in range(num_slots):
        shares[t] = 1.0 if weights[t] > 0.0 else 0.0
        if t > 0:
            dot = _dot64(means[t - 1], means[t])
            similarities[t - 1] = ranked(dot, weights[t - 1], weights[t], barriers[t - 1])
    own_weights = weights.copy()
    following, before = np.arange(1, num_slots + 1), np.arange(-1, num_slots - 1)
    num_left = num_slots
    while num_left > keep:
        i = best(similarities, following, num_slots)
        if i < 0:
            break
        j = following[i]
        p, q = before[i], following[j]
        share = share_of_right(weights[i], weights[j], halving)
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
            similarities[p] = ranked(_dot64(means[p], means[i]), weights[p], weights[i], barriers[i - 1])
        similarities[i] = BARRIER
        if q < num_slots:
            before[q] = i
            similarities[i] = ranked(_dot64(means[i], means[q]), weights[i], weights[q], barriers[q - 1])
    t = finish(following, weights, num_slots, num_left, out_weights, boundaries)
    num_kept = min(num_left, keep)
    for k in range(num_kept):
        start, stop = t, following[t]
        write_mean(out[k], tokens[start:stop], shares[start:stop] if halving else own_weights[start:stop])
        t = stop
    out[num_kept:] = 0.0
    return num_kept, num_nonfinite


@jit
def _dot64(left, right):
    total = 0.0
    for d in range(len(left)):
        total += left[d] * right[d]
    return total


@jit
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
            if not is_finite(tokens[t]):
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
