"""The greedy merge in three Triton launches, without a word to the host. It knows no time and no camera.

Merges are linear, so every later dot product follows from the dots of the original slots:
    1. `gram_*_kernel`: dots of all pairs of slots, [B, T, T, P] float32, upper triangle; for `token_cosine` one per
       token position (P = N), for `mean_dot` one partial dot of the pooled means per block of channels; with more
       slots than a tile has, each tile of tokens is read once per pair of tiles, from the L2 cache where it is large
       enough, since the pairs of one position run side by side
    2. `decide_kernel`: all greedy steps of a camera in one program, on its own Gram: merging slot j into i blends row
       and column j into those of i; out come boundaries, weights and each slot's share of its survivor
    3. `write_kernel`: every survivor once, as the weighted sum of its slots
The tokens are read twice and written once: 2 T N W + keep N W elements per camera, and the Gram on top, which at
T = 512 and N = 1,024 is 1.07 GB per camera: merge such cameras in smaller batches. Run in Triton's interpreter and
compiled for sm_80 and sm_90; not yet measured on a GPU.
"""
# ruff: noqa: N803
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, no-any-unimported"

import os

import torch
from torch import Tensor

from memory.similarity_merge.contract import Consolidated, Problem

os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # Triton 3.9 warns when unset; a fused a * b + c rounds once

import triton
import triton.language as tl

INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"

_DTYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
_EPSILON = tl.constexpr(1e-12)  # a shorter token has no direction, as in torch.nn.functional.normalize
_BARRIER = tl.constexpr(float("-inf"))
_EMPTY_FIRST = tl.constexpr(float("inf"))
_LARGEST = tl.constexpr(3.4028234e38)


@triton.jit
def _is_finite(x):
    return (x == x) & (tl.abs(x) != float("inf"))


@triton.jit
def _blend(left, right, share):
    """left + share (right - left), exact for share 0 and 1 and where both are equal, as torch.lerp."""
    return tl.where(share < 0.5, left + share * (right - left), right - (right - left) * (1.0 - share))


@triton.jit
def _cosine(dot, left_square, right_square):
    left_square = tl.where(left_square == left_square, left_square, float("inf"))  # inf - inf of a blend
    right_square = tl.where(right_square == right_square, right_square, float("inf"))
    left = tl.maximum(tl.sqrt_rn(tl.maximum(left_square, 0.0)), _EPSILON)
    right = tl.maximum(tl.sqrt_rn(tl.maximum(right_square, 0.0)), _EPSILON)
    cosine = tl.div_rn(tl.div_rn(dot, left), right)  # left * right could be too large
    cosine = tl.minimum(tl.maximum(cosine, -1.0), 1.0)  # the square of a mean that nearly cancels may be rounding
    return tl.where(cosine == cosine, cosine, 0.0)  # a token whose square is beyond float32 has no direction


@triton.jit
def _tile_pair(pair, num_tiles):
    """Row and column of the upper triangle's tile number `pair`, row by row."""
    tile_i = pair * 0
    while pair >= num_tiles - tile_i:
        pair -= num_tiles - tile_i
        tile_i += 1
    return tile_i, tile_i + pair


@triton.jit
def _real(similarity):
    """NaN (from overflow) as 0 and Inf as the largest number, so that nothing looks like a barrier or an empty slot."""
    similarity = tl.where(similarity == similarity, similarity, 0.0)
    return tl.minimum(tl.maximum(similarity, -_LARGEST), _LARGEST)


@triton.jit
def gram_token_kernel(
    x_ptr,  # [B, T, N, W]
    num_valid_ptr,  # [B] int32
    gram_ptr,  # [B, T, T, N] float32
    bad_ptr,  # [B, T, N] int8
    num_slots,
    num_tokens: tl.constexpr,
    stored_width: tl.constexpr,
    width: tl.constexpr,
    stride_b,
    stride_t,
    stride_n,
    stride_w,
    DOT_DTYPE: tl.constexpr,  # of x: products of 16 bit numbers are exact in float32
    HAS_NUM_VALID: tl.constexpr,
    ONE_TILE: tl.constexpr,  # all slots in one: rows and columns are the same numbers, read once
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    # one program: one token position of one camera, one pair of tiles of slots; pairs of one position run side by side,
    # so that what they share is still in the L2 cache; the lower triangle is never read
    num_tiles = tl.cdiv(num_slots, BLOCK_T)
    num_pairs = num_tiles * (num_tiles + 1) // 2
    position = tl.program_id(0) // num_pairs
    b = (position // num_tokens).to(tl.int64)
    n = (position % num_tokens).to(tl.int64)
    tile_i, tile_j = _tile_pair(tl.program_id(0) % num_pairs, num_tiles)
    num_valid = num_slots
    if HAS_NUM_VALID:
        num_valid = tl.load(num_valid_ptr + b)
    offs_i = tile_i * BLOCK_T + tl.arange(0, BLOCK_T).to(tl.int64)
    offs_j = tile_j * BLOCK_T + tl.arange(0, BLOCK_T).to(tl.int64)
    offs_d = tl.arange(0, BLOCK_D).to(tl.int64)
    x_ptr += b * stride_b + n * stride_n
    gram = tl.zeros((BLOCK_T, BLOCK_T), dtype=tl.float32)
    bad = tl.zeros((BLOCK_T,), dtype=tl.int32)
    for first in range(0, width, BLOCK_D):
        d = first + offs_d
        left = tl.load(
            x_ptr + offs_i[:, None] * stride_t + d[None, :] * stride_w,
            mask=(offs_i < num_valid)[:, None] & (d < width)[None, :],
            other=0.0,
        ).to(tl.float32)
        bad = tl.maximum(bad, tl.max((_is_finite(left) == 0).to(tl.int32), 1))
        left = tl.where(_is_finite(left), left, 0.0)
        if ONE_TILE:
            right = left
        else:
            right = tl.load(
                x_ptr + offs_j[:, None] * stride_t + d[None, :] * stride_w,
                mask=(offs_j < num_valid)[:, None] & (d < width)[None, :],
                other=0.0,
            ).to(tl.float32)
            right = tl.where(_is_finite(right), right, 0.0)
        gram = tl.dot(left.to(DOT_DTYPE), tl.trans(right.to(DOT_DTYPE)), gram, input_precision="ieee")
    for first in range(width, stored_width, BLOCK_D):  # similarity does not read these, but they must be finite too
        d = first + offs_d
        rest = tl.load(
            x_ptr + offs_i[:, None] * stride_t + d[None, :] * stride_w,
            mask=(offs_i < num_valid)[:, None] & (d < stored_width)[None, :],
            other=0.0,
        ).to(tl.float32)
        bad = tl.maximum(bad, tl.max((_is_finite(rest) == 0).to(tl.int32), 1))
    b_gram_ptr = gram_ptr + b * num_slots * num_slots * num_tokens
    tl.store(
        b_gram_ptr + (offs_i[:, None] * num_slots + offs_j[None, :]) * num_tokens + n,
        gram,
        mask=(offs_i < num_slots)[:, None] & (offs_j < num_slots)[None, :],
    )
    if tile_i == tile_j:
        tl.store(bad_ptr + (b * num_slots + offs_i) * num_tokens + n, bad, mask=offs_i < num_slots)


@triton.jit
def gram_pooled_kernel(
    x_ptr,  # [B, T, N, W]
    num_valid_ptr,  # [B] int32
    gram_ptr,  # [B, T, T, P] float32, P = cdiv(W, BLOCK_D)
    bad_ptr,  # [B, T, P] int8
    num_slots,
    num_tokens: tl.constexpr,
    stored_width: tl.constexpr,
    width: tl.constexpr,
    stride_b,
    stride_t,
    stride_n,
    stride_w,
    HAS_NUM_VALID: tl.constexpr,
    ONE_TILE: tl.constexpr,  # all slots in one: rows and columns are the same numbers, read once
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    # one program: one block of channels of one camera, one pair of tiles of slots
    num_parts = tl.cdiv(stored_width, BLOCK_D)
    num_tiles = tl.cdiv(num_slots, BLOCK_T)
    num_pairs = num_tiles * (num_tiles + 1) // 2
    position = tl.program_id(0) // num_pairs
    b = (position // num_parts).to(tl.int64)
    part = (position % num_parts).to(tl.int64)
    tile_i, tile_j = _tile_pair(tl.program_id(0) % num_pairs, num_tiles)
    num_valid = num_slots
    if HAS_NUM_VALID:
        num_valid = tl.load(num_valid_ptr + b)
    offs_i = tile_i * BLOCK_T + tl.arange(0, BLOCK_T).to(tl.int64)
    offs_j = tile_j * BLOCK_T + tl.arange(0, BLOCK_T).to(tl.int64)
    offs_d = part * BLOCK_D + tl.arange(0, BLOCK_D).to(tl.int64)
    x_ptr += b * stride_b
    mean_i = tl.zeros((BLOCK_T, BLOCK_D), dtype=tl.float32)
    mean_j = tl.zeros((BLOCK_T, BLOCK_D), dtype=tl.float32)
    bad = tl.zeros((BLOCK_T,), dtype=tl.int32)
    for _ in range(num_tokens):
        left = tl.load(
            x_ptr + offs_i[:, None] * stride_t + offs_d[None, :] * stride_w,
            mask=(offs_i < num_valid)[:, None] & (offs_d < stored_width)[None, :],
            other=0.0,
        ).to(tl.float32)
        bad = tl.maximum(bad, tl.max((_is_finite(left) == 0).to(tl.int32), 1))
        mean_i += tl.where(_is_finite(left) & (offs_d < width)[None, :], left, 0.0)
        if not ONE_TILE:
            right = tl.load(
                x_ptr + offs_j[:, None] * stride_t + offs_d[None, :] * stride_w,
                mask=(offs_j < num_valid)[:, None] & (offs_d < width)[None, :],
                other=0.0,
            ).to(tl.float32)
            mean_j += tl.where(_is_finite(right), right, 0.0)
        x_ptr += stride_n
    if ONE_TILE:
        mean_j = mean_i
    gram = tl.dot(mean_i / num_tokens, tl.trans(mean_j / num_tokens), input_precision="ieee")
    b_gram_ptr = gram_ptr + b * num_slots * num_slots * num_parts
    tl.store(
        b_gram_ptr + (offs_i[:, None] * num_slots + offs_j[None, :]) * num_parts + part,
        gram,
        mask=(offs_i < num_slots)[:, None] & (offs_j < num_slots)[None, :],
    )
    if tile_i == tile_j:
        tl.store(bad_ptr + (b * num_slots + offs_i) * num_parts + part, bad, mask=offs_i < num_slots)


@triton.jit
def decide_kernel(
    gram_ptr,  # [B, T, T, P] float32, upper triangle; overwritten
    bad_ptr,  # [B, T, P] int8
    weights_ptr,  # [B, T] float32
    num_valid_ptr,  # [B] int32
    barriers_ptr,  # [B, T - 1] bool
    shares_ptr,  # out [B, T] float32: slot i is shares[i] of its survivor
    out_weights_ptr,  # out [B, keep] float32
    boundaries_ptr,  # out [B, keep + 1] int32
    num_kept_ptr,  # out [B] int32
    num_nonfinite_ptr,  # out [B] int32
    num_slots,
    num_parts: tl.constexpr,
    keep,
    num_means,  # N for the mean of cosines, 1 for a dot
    COSINE: tl.constexpr,
    WEIGHTED: tl.constexpr,
    HAS_WEIGHTS: tl.constexpr,
    HAS_NUM_VALID: tl.constexpr,
    HAS_BARRIERS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_KEEP: tl.constexpr,
):
    # one program: one camera; a segment is known by its first slot, `owner`, and vectors hold its values at each slot
    b = tl.program_id(0).to(tl.int64)
    offs_t = tl.arange(0, BLOCK_T)
    offs_p = tl.arange(0, BLOCK_P).to(tl.int64)
    row = tl.cast(num_slots, tl.int64) * num_parts
    gram_ptr += b * num_slots * row
    bad_ptr += b * row
    num_valid = num_slots
    if HAS_NUM_VALID:
        num_valid = tl.minimum(tl.maximum(tl.load(num_valid_ptr + b), 0), num_slots)
    valid = offs_t < num_valid

    has_next = offs_t + 1 < num_valid
    weight = tl.where(valid, 1.0, 0.0)
    next_weight = tl.where(has_next, 1.0, 0.0)
    if HAS_WEIGHTS:
        weight = tl.load(weights_ptr + b * num_slots + offs_t, mask=valid, other=0.0)
        next_weight = tl.load(weights_ptr + b * num_slots + offs_t + 1, mask=has_next, other=0.0)
    barrier_before = tl.zeros((BLOCK_T,), dtype=tl.int32)
    next_barrier = tl.zeros((BLOCK_T,), dtype=tl.int32)
    if HAS_BARRIERS:
        barriers_ptr += b * (num_slots - 1)
        barrier_before = tl.load(barriers_ptr + offs_t - 1, mask=valid & (offs_t > 0), other=0).to(tl.int32)
        next_barrier = tl.load(barriers_ptr + offs_t, mask=has_next, other=0).to(tl.int32)

    # at every slot t: the similarity of t and t + 1, and whether either of them is empty
    similarity = tl.zeros((BLOCK_T,), dtype=tl.float32)
    bad = tl.zeros((BLOCK_T,), dtype=tl.int32)
    next_bad = tl.zeros((BLOCK_T,), dtype=tl.int32)
    for first in range(0, num_parts, BLOCK_P):
        p = first + offs_p
        in_p = (p < num_parts)[None, :]
        at = offs_t.to(tl.int64)[:, None] * (row + num_parts) + p[None, :]  # [t, t, p]
        mask = has_next[:, None] & in_p
        dot = tl.load(gram_ptr + at + num_parts, mask=mask, other=0.0)
        if COSINE:
            left_square = tl.load(gram_ptr + at, mask=mask, other=0.0)
            right_square = tl.load(gram_ptr + at + row + num_parts, mask=mask, other=0.0)
            dot = _cosine(dot, left_square, right_square)
        similarity += tl.sum(dot, 1)
        flag_ptrs = bad_ptr + offs_t.to(tl.int64)[:, None] * num_parts + p[None, :]
        flags = tl.load(flag_ptrs, mask=valid[:, None] & in_p, other=0)
        next_flags = tl.load(flag_ptrs + num_parts, mask=mask, other=0)
        bad = tl.maximum(bad, tl.max(flags.to(tl.int32), 1))
        next_bad = tl.maximum(next_bad, tl.max(next_flags.to(tl.int32), 1))
    weight = tl.where((bad == 0) & (weight > 0.0) & (weight < float("inf")), weight, 0.0)
    empty = valid & (weight == 0.0)
    next_empty = (next_bad != 0) | (next_weight <= 0.0) | (next_weight == float("inf")) | (next_weight != next_weight)
    similarity = _real(similarity / num_means)
    similarity = tl.where(empty | next_empty, _EMPTY_FIRST, similarity)
    similarity = tl.where(has_next & (next_barrier == 0), similarity, _BARRIER)
    tl.store(num_nonfinite_ptr + b, tl.sum(empty.to(tl.int32), 0))

    slot_weight = weight  # of the slot alone
    share = tl.where(empty, 0.0, 1.0)
    owner = offs_t
    num_left = num_valid
    best = tl.max(similarity, 0)
    while (num_left > keep) & (best != _BARRIER):
        alive = valid & (owner == offs_t)
        i = tl.min(tl.where(similarity == best, offs_t, BLOCK_T), 0)  # the earliest of the best
        j = tl.min(tl.where(alive & (offs_t > i), offs_t, BLOCK_T), 0)
        before = tl.max(tl.where(alive & (offs_t < i), offs_t, -1), 0)
        after = tl.min(tl.where(alive & (offs_t > j), offs_t, BLOCK_T), 0)
        weight_i = tl.sum(tl.where(offs_t == i, weight, 0.0), 0)
        weight_j = tl.sum(tl.where(offs_t == j, weight, 0.0), 0)
        share_j = tl.where(weight_i > 0.0, 0.0, tl.where(weight_j > 0.0, 1.0, 0.0))
        if WEIGHTED:
            both = tl.where(weight_i + weight_j > 0.0, weight_i + weight_j, 1.0)
            share_j = tl.where((weight_i > 0.0) & (weight_j > 0.0), tl.div_rn(weight_j, both), share_j)
        else:
            share_j = tl.where((weight_i > 0.0) & (weight_j > 0.0), 0.5, share_j)

        # blend row and column j into those of i
        gram_i = gram_ptr + i.to(tl.int64) * row
        gram_j = gram_ptr + j.to(tl.int64) * row
        i_parts = i.to(tl.int64) * num_parts
        j_parts = j.to(tl.int64) * num_parts
        similarity_before = 0.0
        similarity_after = 0.0
        for first in range(0, num_parts, BLOCK_P):
            p = first + offs_p
            in_p = p < num_parts
            t_row = offs_t.to(tl.int64)[:, None] * row + p[None, :]
            t_parts = offs_t.to(tl.int64)[:, None] * num_parts + p[None, :]
            mask_above = (alive & (offs_t < i))[:, None] & in_p[None, :]
            mask_right = (alive & (offs_t > j))[:, None] & in_p[None, :]
            square_i = tl.load(gram_i + i_parts + p, mask=in_p, other=0.0)
            dot_ij = tl.load(gram_i + j_parts + p, mask=in_p, other=0.0)
            square_j = tl.load(gram_j + j_parts + p, mask=in_p, other=0.0)
            above_i = tl.load(gram_ptr + t_row + i_parts, mask=mask_above, other=0.0)
            above_j = tl.load(gram_ptr + t_row + j_parts, mask=mask_above, other=0.0)
            right_i = tl.load(gram_i + t_parts, mask=mask_right, other=0.0)
            right_j = tl.load(gram_j + t_parts, mask=mask_right, other=0.0)
            tl.debug_barrier()  # threads that hold copies of one element have all read it before it is overwritten
            square = _blend(_blend(square_i, dot_ij, share_j), _blend(dot_ij, square_j, share_j), share_j)
            above = _blend(above_i, above_j, share_j)
            right = _blend(right_i, right_j, share_j)
            tl.store(gram_i + i_parts + p, square, mask=in_p)
            tl.store(gram_ptr + t_row + i_parts, above, mask=mask_above)
            tl.store(gram_i + t_parts, right, mask=mask_right)
            dot_before = tl.sum(tl.where((offs_t == before)[:, None], above, 0.0), 0)
            dot_after = tl.sum(tl.where((offs_t == after)[:, None], right, 0.0), 0)
            if COSINE:
                # where there is none the load is of some other square and is not used
                before_at = tl.maximum(before, 0).to(tl.int64) * (row + num_parts)
                after_at = tl.minimum(after, num_slots - 1).to(tl.int64) * (row + num_parts)
                square_before = tl.load(gram_ptr + before_at + p, mask=in_p, other=0.0)
                square_after = tl.load(gram_ptr + after_at + p, mask=in_p, other=0.0)
                dot_before = _cosine(dot_before, square_before, square)
                dot_after = _cosine(dot_after, square, square_after)
            similarity_before += tl.sum(dot_before, 0)
            similarity_after += tl.sum(dot_after, 0)
        tl.debug_barrier()  # the next step reads what this one wrote

        weight_before = tl.sum(tl.where(offs_t == before, weight, 0.0), 0)
        weight_after = tl.sum(tl.where(offs_t == after, weight, 0.0), 0)
        barrier_i = tl.max(tl.where(offs_t == i, barrier_before, 0), 0)
        barrier_after = tl.max(tl.where(offs_t == after, barrier_before, 0), 0)
        merged = weight_i + weight_j
        similarity_before = _real(similarity_before / num_means)
        similarity_before = tl.where((weight_before > 0.0) & (merged > 0.0), similarity_before, _EMPTY_FIRST)
        similarity_before = tl.where(barrier_i == 0, similarity_before, _BARRIER)
        similarity_after = _real(similarity_after / num_means)
        similarity_after = tl.where((weight_after > 0.0) & (merged > 0.0), similarity_after, _EMPTY_FIRST)
        similarity_after = tl.where((barrier_after == 0) & (after < num_valid), similarity_after, _BARRIER)
        similarity = tl.where(offs_t == before, similarity_before, similarity)
        similarity = tl.where(offs_t == i, similarity_after, similarity)
        similarity = tl.where(offs_t == j, _BARRIER, similarity)

        share = tl.where(owner == i, share * (1.0 - share_j), tl.where(owner == j, share * share_j, share))
        weight = tl.where((owner == i) | (owner == j), merged, weight)
        owner = tl.where(owner == j, i, owner)
        num_left -= 1
        best = tl.max(similarity, 0)

    # the newest `keep` segments stay
    if WEIGHTED:
        share = tl.where(weight > 0.0, tl.div_rn(slot_weight, tl.where(weight > 0.0, weight, 1.0)), 0.0)
    tl.store(shares_ptr + b * num_slots + offs_t, share, mask=offs_t < num_slots)
    alive = valid & (owner == offs_t)
    num_kept = tl.minimum(num_left, keep)
    place = tl.cumsum(alive.to(tl.int32), 0) - 1 - (num_left - num_kept)
    kept = alive & (place >= 0)
    boundaries_ptr += b * (keep + 1)
    out_weights_ptr += b * keep
    tl.store(boundaries_ptr + place, offs_t, mask=kept)
    tl.store(out_weights_ptr + place, weight, mask=kept)
    offs_k = tl.arange(0, BLOCK_KEEP)
    rest = (offs_k >= num_kept) & (offs_k <= keep)
    tl.store(boundaries_ptr + offs_k, tl.zeros((BLOCK_KEEP,), tl.int32) + num_valid, mask=rest)
    tl.store(out_weights_ptr + offs_k, tl.zeros((BLOCK_KEEP,), tl.float32), mask=rest & (offs_k < keep))
    tl.store(num_kept_ptr + b, num_kept)


@triton.jit
def write_kernel(
    x_ptr,  # [B, T, N, W]
    shares_ptr,  # [B, T] float32
    boundaries_ptr,  # [B, keep + 1] int32
    out_ptr,  # out [B, keep, N, W]
    num_slots,
    keep,
    num_elements,  # N * W
    stored_width: tl.constexpr,
    stride_b,
    stride_t,
    stride_n,
    stride_w,
    BLOCK_T: tl.constexpr,
    BLOCK: tl.constexpr,
):
    # one program: one block of one survivor
    b = (tl.program_id(0) // keep).to(tl.int64)
    k = (tl.program_id(0) % keep).to(tl.int64)
    offs = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offs < num_elements
    start = tl.load(boundaries_ptr + b * (keep + 1) + k)
    stop = tl.load(boundaries_ptr + b * (keep + 1) + k + 1)
    x_ptr += b * stride_b
    at = (offs // stored_width) * stride_n + (offs % stored_width) * stride_w
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for first in range(start, stop, BLOCK_T):  # the reads of one block are all under way at once
        t = first + tl.arange(0, BLOCK_T).to(tl.int64)
        share = tl.load(shares_ptr + b * num_slots + t, mask=t < stop, other=0.0)
        mask = inside[None, :] & (share != 0.0)[:, None]  # 0 * NaN is NaN
        x = tl.load(x_ptr + t[:, None] * stride_t + at[None, :], mask=mask, other=0.0)
        total += tl.sum(share[:, None] * x.to(tl.float32), 0)
    tl.store(out_ptr + (b * keep + k) * num_elements + offs, total.to(out_ptr.dtype.element_ty), mask=inside)


def consolidate_triton(problem: Problem) -> Consolidated:
    """See `memory.consolidate`; three launches for all cameras, nothing waits for the device.

    Raises:
        ValueError: the tokens are not on CUDA (under TRITON_INTERPRET=1: not on the CPU).
    """
    x, keep, device = problem.tokens, problem.keep, problem.tokens.device
    expected = "cpu" if INTERPRETED else "cuda"
    if device.type != expected:
        raise ValueError(f"expected tokens on {expected} for backend='triton', received {device}")
    num_cameras, num_slots, num_tokens, stored_width = x.shape
    pooled = problem.similarity == "mean_dot"
    block_slots, block_width, gram_warps = gram_blocks(num_slots, stored_width, x.dtype, pooled=pooled)
    num_parts = triton.cdiv(stored_width, block_width) if pooled else num_tokens
    tiles = triton.cdiv(num_slots, block_slots)
    gram = torch.empty((num_cameras, num_slots, num_slots, num_parts), dtype=torch.float32, device=device)
    bad = torch.empty((num_cameras, num_slots, num_parts), dtype=torch.int8, device=device)
    shares = torch.empty((num_cameras, num_slots), dtype=torch.float32, device=device)
    result = _empty_result(problem)
    with torch.cuda.device_of(x):
        if pooled:
            gram_kernel, dtypes = gram_pooled_kernel, {}
        else:  # the interpreter cannot multiply bfloat16
            gram_kernel, dtypes = gram_token_kernel, {"DOT_DTYPE": tl.float32 if INTERPRETED else _DTYPES[x.dtype]}
        gram_kernel[(num_cameras * num_parts * tiles * (tiles + 1) // 2,)](
            x,
            problem.num_valid,
            gram,
            bad,
            num_slots,
            num_tokens,
            stored_width,
            problem.width,
            *x.stride(),
            HAS_NUM_VALID=problem.num_valid is not None,
            ONE_TILE=tiles == 1,
            BLOCK_T=block_slots,
            BLOCK_D=block_width,
            num_warps=gram_warps,
            **dtypes,
        )
        block_t, block_p, num_warps = decide_blocks(num_slots, num_parts)
        decide_kernel[(num_cameras,)](
            gram,
            bad,
            problem.weights,
            problem.num_valid,
            problem.barriers,
            shares,
            result.weights,
            result.boundaries,
            result.num_kept,
            result.num_nonfinite,
            num_slots,
            num_parts,
            keep,
            1 if pooled else num_tokens,
            COSINE=not pooled,
            WEIGHTED=problem.merge == "weighted",
            HAS_WEIGHTS=problem.weights is not None,
            HAS_NUM_VALID=problem.num_valid is not None,
            HAS_BARRIERS=problem.barriers is not None,
            BLOCK_T=block_t,
            BLOCK_P=block_p,
            BLOCK_KEEP=triton.next_power_of_2(keep + 1),
            num_warps=num_warps,
        )
        num_elements = num_tokens * stored_width
        block_t, block = write_blocks(num_slots, keep, num_elements)
        write_kernel[(num_cameras * keep, triton.cdiv(num_elements, block))](
            x,
            shares,
            result.boundaries,
            result.tokens,
            num_slots,
            keep,
            num_elements,
            stored_width,
            *x.stride(),
            BLOCK_T=block_t,
            BLOCK=block,
        )
    return result


def gram_blocks(num_slots: int, stored_width: int, dtype: torch.dtype, *, pooled: bool) -> tuple[int, int, int]:
    """BLOCK_T, BLOCK_D and warps of the Gram kernels: no spills for sm_80 and sm_90; `tl.dot` wants 16 at least.

    Products in float32 go through ordinary registers, so their tiles are smaller.
    """
    block_t = max(16, min(32 if pooled else 64, triton.next_power_of_2(num_slots)))
    if pooled:
        block_d = 32
    elif dtype is torch.float32:
        block_d = 16
    else:
        block_d = 64 if block_t <= 32 else 32
    return block_t, min(block_d, max(16, triton.next_power_of_2(stored_width))), 8 if block_t == 64 else 4


def decide_blocks(num_slots: int, num_parts: int) -> tuple[int, int, int]:
    """BLOCK_T, BLOCK_P and warps of `decide_kernel`, such that its registers do (no spills for sm_80 and sm_90).

    A step is a chain of a dozen reductions, and within one warp they need neither shared memory nor a barrier; so few
    slots with few parts go to one warp. That is reasoned, not measured.
    """
    block_t = triton.next_power_of_2(num_slots)
    if block_t <= 32 and num_parts <= 64:
        return block_t, max(1, min(triton.next_power_of_2(num_parts), 256 // block_t)), 1
    block_p = max(1, min(triton.next_power_of_2(num_parts), 16, 2048 // block_t))
    return block_t, block_p, 4 if block_t <= 32 else 8


def write_blocks(num_slots: int, keep: int, num_elements: int) -> tuple[int, int]:
    """BLOCK_T and BLOCK of `write_kernel`: as many slots at once as a survivor usually has, at most 8."""
    block_t = min(8, triton.next_power_of_2(triton.cdiv(num_slots, keep)))
    return block_t, min(2048 // block_t, triton.next_power_of_2(num_elements))


def _empty_result(problem: Problem) -> Consolidated:
    num_cameras, _, num_tokens, stored_width = problem.tokens.shape
    device = problem.tokens.device

    def empty(*shape: int, dtype: torch.dtype) -> Tensor:
        return torch.empty((num_cameras, *shape), dtype=dtype, device=device)

    return Consolidated(
        tokens=empty(problem.keep, num_tokens, stored_width, dtype=problem.tokens.dtype),
        weights=empty(problem.keep, dtype=torch.float32),
        boundaries=empty(problem.keep + 1, dtype=torch.int32),
        num_kept=empty(dtype=torch.int32),
        num_nonfinite=empty(dtype=torch.int32),
        backend="triton",
    )
