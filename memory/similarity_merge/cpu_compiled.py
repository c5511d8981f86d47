"""The greedy merge of one camera in compiled code, three ways: few slots, many slots, and by pooled means.

`merge_by_gram` (token_cosine, few slots): a merge is linear, so the dots of a mean follow from those of its two halves.
The tokens are read once for the dots of all pairs, in tiles of 3 x 3 that stay in registers, and once for the
survivors. `merge_by_neighbours` (token_cosine, many slots): after a merge only the two similarities beside it are made
anew; one pass over two segments' means gives their mean, its norms and its dots with both neighbours. At 256 -> 128 a
Gram matrix per token position costs ten times as much. `merge_by_mean_dot` decides on the pooled means [T, D] alone and
writes each survivor once as a weighted mean: two reads of the tokens, one write.

Every dot goes through the same instructions wherever a slot lies, and what is blended of equals stays equal, so ties
stay exact ties. Compiling takes some seconds at the first call on a machine; Numba keeps the result beside this file,
and looks at a function's own file alone to see whether it is stale: so all of them are in one. The interpreter's lock
is not held meanwhile.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, no-any-unimported"

import math
from typing import Any

import numba
import numpy as np
from llvmlite import binding

_BARRIER = -np.inf
_EMPTY_FIRST = np.inf
_LARGEST = float(np.finfo(np.float32).max)
_EPSILON = np.float32(1e-12)  # a shorter token has no direction, as in torch.nn.functional.normalize
_POOLED_TOKENS = 32  # as many are added in float32 before their sum goes on in float64
_SHORTEST = 1e-12
_LEAST_LEFT = 1e-3  # of a square, in a mean of two: below it, dots in float32 give cosines that are off by over 1e-5
_BLOCK = 4096  # numbers of a survivor that stay in the level 1 cache while its slots pass by


def _take_wide_registers() -> None:
    """LLVM halves vector registers of 512 bits, for early processors that slowed down at them; later ones do not."""
    features = binding.get_host_cpu_features()
    if numba.config.CPU_FEATURES is None and features.get("avx512bf16"):
        numba.config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


_take_wide_registers()


def _jit(function: Any) -> Any:
    """Sums may be taken in any order, so that they fill vector registers; NaN and Inf keep their meaning."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write the compiled code: it is compiled at each start
        return numba.njit(**options)(function)


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
def _inverse_norm(square):
    """1 / |x|; 0 where the square is beyond float32: such a token has no direction."""
    return np.float32(1.0) / max(np.sqrt(square), _EPSILON)


@_jit
def _cosine(dot, left_inverse, right_inverse):
    cosine = dot * left_inverse * right_inverse
    return cosine if math.isfinite(cosine) else np.float32(0.0)


@_jit
def _is_finite(slot):
    """slot: [N, W]; whether all of it is finite. Told by comparing: a sum of x * 0 may be taken as sum(x) * 0."""
    num_finite = 0
    for n in range(slot.shape[0]):
        for w in range(slot.shape[1]):
            num_finite += abs(slot[n, w]) <= _LARGEST
    return num_finite == slot.size


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


@_jit
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
            if _is_finite(tokens[t]):
                has_huge = True
            else:
                weights[t] = 0.0
                num_nonfinite += 1
        _invert(gram[t, t], inverse[t])
    if has_huge:  # its dots are beyond float32, those of its means perhaps not
        return merge_by_neighbours(tokens, given_weights, barriers, width, halving, out, out_weights, boundaries)
    shares, own_weights = np.where(weights > 0.0, 1.0, 0.0), weights.copy()
    similarities = np.full(num_slots, _BARRIER)
    for t in range(num_slots - 1):
        alike = _mean_cosine(gram[t, t + 1], inverse[t], inverse[t + 1])
        similarities[t] = _ranked(alike, weights[t], weights[t + 1], barriers[t])
    following, before = np.arange(1, num_slots + 1), np.arange(-1, num_slots - 1)
    num_left = num_slots
    while num_left > keep:
        i = _best(similarities, following, num_slots)
        if i < 0:
            break
        j = following[i]
        p, q = before[i], following[j]
        share = _share_of_right(weights[i], weights[j], halving)
        if share > 0.0:
            if _merge_rows(gram, following, i, j, share):  # what is left of the mean is rounding
                return merge_by_neighbours(
                    tokens, given_weights, barriers, width, halving, out, out_weights, boundaries
                )
            _invert(gram[i, i], inverse[i])
        if halving:
            shares[i:j] *= 1.0 - share
            shares[j:q] *= share
        weights[i] += weights[j]
        following[i] = q
        num_left -= 1
        if p >= 0:
            alike = _mean_cosine(gram[p, i], inverse[p], inverse[i])
            similarities[p] = _ranked(alike, weights[p], weights[i], barriers[i - 1])
        similarities[i] = _BARRIER
        if q < num_slots:
            before[q] = i
            alike = _mean_cosine(gram[i, q], inverse[i], inverse[q])
            similarities[i] = _ranked(alike, weights[i], weights[q], barriers[q - 1])
    _finish(following, weights, num_slots, num_left, out_weights, boundaries)
    num_kept = min(num_left, keep)
    write_survivors(tokens, shares if halving else own_weights, boundaries, num_kept, out)
    return num_kept, num_nonfinite


@_jit
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


@_jit
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


@_jit
def _is_suspect(slot, squares, has_more_channels):
    """Whether anything in the slot may be NaN, Inf or huge: its squares [N] tell, of the channels that they cover."""
    total = 0.0
    for n in range(len(squares)):
        total += squares[n]
    if has_more_channels:
        return not (math.isfinite(total) and _is_finite(slot))
    return not math.isfinite(total)


@_jit
def _invert(squares, inverse):
    for n in range(len(squares)):
        inverse[n] = 1.0 / max(math.sqrt(max(squares[n], 0.0)), _SHORTEST)


@_jit
def _mean_cosine(dots, left_inverse, right_inverse):
    total = 0.0
    for n in range(len(dots)):
        total += dots[n] * left_inverse[n] * right_inverse[n]
    return total / len(dots)


@_jit
def _merge_rows(gram, following, i, j, share):
    """The dots of the mean of i and j with all segments, in place of those of i; nothing of i where share is 1.

    True where some token of the two nearly cancels: the square of its mean is then known to few digits.
    """
    num_slots = len(following)
    cancels = False
    if share == 1.0:
        gram[i, i] = gram[j, j]
    else:
        larger = np.maximum(gram[i, i], gram[j, j])
        _blend_dots(gram[i, i], gram[i, j], share)
        _blend_dots(gram[i, j], gram[j, j], share)
        _blend_dots(gram[i, i], gram[i, j], share)
        for n in range(len(larger)):
            cancels |= gram[i, i, n] < _LEAST_LEFT * larger[n]
    t = 0
    while t < i:
        if share == 1.0:
            gram[t, i] = gram[t, j]
        else:
            _blend_dots(gram[t, i], gram[t, j], share)
        t = following[t]
    t = following[j]
    while t < num_slots:
        if share == 1.0:
            gram[i, t] = gram[j, t]
        else:
            _blend_dots(gram[i, t], gram[j, t], share)
        t = following[t]
    return cancels


@_jit
def _blend_dots(left, right, share):
    """left becomes (1 - share) left + share right; equal numbers stay what they are."""
    for n in range(len(left)):
        left[n] += (right[n] - left[n]) * share


@_jit
def _dot(left, right, width):
    total = np.float32(0.0)
    for d in range(width):
        total += left[d] * right[d]
    return total


@_jit
def _square_and_dots(before, mean, after, width):
    """The square of `mean` and its dots with both neighbours: in one loop, each number is loaded once.

    Also where one of the dots is not needed: another loop would add in another order, and equals would not tie.
    """
    square = dot_before = dot_after = np.float32(0.0)
    for d in range(width):
        square += mean[d] * mean[d]
        dot_before += before[d] * mean[d]
        dot_after += mean[d] * after[d]
    return square, dot_before, dot_after


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
def merge_by_neighbours(tokens, weights, barriers, width, halving, out, out_weights, boundaries):
    """tokens: float32 [T, N, W]; weights: float64 [T], changed; out: float32 [keep, N, W]; returns what was kept, and
    how many slots were not finite."""
    num_slots, num_tokens, stored_width = tokens.shape
    keep = out.shape[0]
    inverse = np.empty((num_slots, num_tokens), np.float32)
    similarities = np.full(num_slots, _BARRIER)
    num_nonfinite, has_huge = 0, False
    for t in range(num_slots):
        is_suspect, total, earlier, later = False, 0.0, max(0, t - 1), min(t + 1, num_slots - 1)
        for n in range(num_tokens):
            square, dot, _ = _square_and_dots(tokens[earlier, n], tokens[t, n], tokens[later, n], width)
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
def merge_by_mean_dot(tokens, weights, barriers, width, halving, out, out_weights, boundaries):
    """As `merge_by_neighbours`; the mean of all N x N dots of two slots is the dot of their pooled means [D]."""
    num_slots = tokens.shape[0]
    means, shares = np.empty((num_slots, width)), np.empty(num_slots)
    num_nonfinite = pool(tokens, weights, means)
    num_kept = decide_by_mean_dot(means, weights, barriers, halving, shares, out_weights, boundaries)
    write_survivors(tokens, shares, boundaries, num_kept, out)
    return num_kept, num_nonfinite


@_jit
def decide_by_mean_dot(means, weights, barriers, halving, shares, out_weights, boundaries):
    """means: float64 [T, D] and weights: float64 [T], both changed; shares: float64 [T], of each slot in its survivor;
    returns what was kept."""
    num_slots, width = means.shape
    keep = len(out_weights)
    similarities = np.full(num_slots, _BARRIER)
    for t in range(num_slots):
        shares[t] = (1.0 if weights[t] > 0.0 else 0.0) if halving else weights[t]
        if t > 0:
            dot = _dot64(means[t - 1], means[t])
            similarities[t - 1] = _ranked(dot, weights[t - 1], weights[t], barriers[t - 1])
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
    _finish(following, weights, num_slots, num_left, out_weights, boundaries)
    return min(num_left, keep)


@_jit
def write_survivors(tokens, shares, boundaries, num_kept, out):
    """out: float32 [keep, N, W], the survivors that `boundaries` [keep + 1] begins with; 0 from `num_kept` on."""
    for k in range(num_kept):
        start, stop = boundaries[k], boundaries[k + 1]
        _write_mean(out[k], tokens[start:stop], shares[start:stop])
    out[num_kept:] = 0.0


@_jit
def _dot64(left, right):
    total = 0.0
    for d in range(len(left)):
        total += left[d] * right[d]
    return total


@_jit
def pool(tokens, weights, means):
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
