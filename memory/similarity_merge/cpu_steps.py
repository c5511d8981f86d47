"""What the CPU's ways of merging share, compiled by Numba: ranking, the best pair, cosines, weighted means.

Every dot goes through the same instructions wherever a slot lies, and the mean of equal slots is that slot, so ties
stay exact ties. Compiling takes some seconds at the first call on a machine; Numba keeps the result beside these files.
The interpreter's lock is not held meanwhile.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, no-any-unimported"

import math
from typing import Any

import numba
import numpy as np
from llvmlite import binding

BARRIER = -np.inf
_EMPTY_FIRST = np.inf
_LARGEST = float(np.finfo(np.float32).max)
_EPSILON = np.float32(1e-12)  # a shorter token has no direction, as in torch.nn.functional.normalize
_BLOCK = 4096  # numbers of a survivor that stay in the level 1 cache while its slots pass by


def _take_wide_registers() -> None:
    """LLVM halves vector registers of 512 bits, for early processors that slowed down at them; later ones do not."""
    features = binding.get_host_cpu_features()
    if numba.config.CPU_FEATURES is None and features.get("avx512bf16"):
        numba.config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


_take_wide_registers()


def jit(function: Any) -> Any:
    """Sums may be taken in any order, so that they fill vector registers; NaN and Inf keep their meaning."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write the compiled code: it is compiled at each start
        return numba.njit(**options)(function)


@jit
def ranked(similarity, left_weight, right_weight, barrier):
    """A similarity as it is compared: a barrier comes last, what weighs nothing first, what is too large is finite."""
    if barrier:
        return BARRIER
    if left_weight == 0.0 or right_weight == 0.0:
        return _EMPTY_FIRST
    if math.isnan(similarity):
        return 0.0
    return min(max(similarity, -_LARGEST), _LARGEST)


@jit
def share_of_right(left_weight, right_weight, halving):
    if left_weight == 0.0:
        return 1.0  # what weighs nothing changes nothing; of two such, the right one is as good
    if right_weight == 0.0:
        return 0.0
    return 0.5 if halving else right_weight / (left_weight + right_weight)


@jit
def best(similarities, following, num_slots):
    """The first slot of the pair that is most alike, the earliest of equals; -1 where nothing may be merged."""
    best, at = BARRIER, -1
    t = 0
    while following[t] < num_slots:
        if similarities[t] > best:
            best, at = similarities[t], t
        t = following[t]
    return at


@jit
def finish(following, weights, num_slots, num_left, out_weights, boundaries):
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


@jit
def inverse_norm(square):
    """1 / |x|; 0 where the square is beyond float32: such a token has no direction."""
    return np.float32(1.0) / max(np.sqrt(square), _EPSILON)


@jit
def cosine(dot, left_inverse, right_inverse):
    cosine = dot * left_inverse * right_inverse
    return cosine if math.isfinite(cosine) else np.float32(0.0)


@jit
def is_finite(slot):
    """slot: [N, W]; whether all of it is finite."""
    for n in range(slot.shape[0]):
        nothing = np.float32(0.0)
        for w in range(slot.shape[1]):
            nothing += slot[n, w] * np.float32(0.0)  # NaN for what is not finite
        if nothing != 0.0:
            return False
    return True


@jit
def write_mean(out, slots, shares):
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
