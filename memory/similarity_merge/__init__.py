"""Merging the most similar adjacent slots until `keep` are left: the contract, and the choice of who does it.

It knows no time and no camera: slots are rows of a tensor.
"""

import importlib.util

import torch
from torch import Tensor

from memory.similarity_merge.contract import BACKENDS, Backend, Consolidated, Merge, Similarity, check
from memory.similarity_merge.cpu import consolidate_cpu
from memory.similarity_merge.reference import consolidate_reference

__all__ = ["Backend", "Consolidated", "Merge", "Similarity", "consolidate"]


def consolidate(
    tokens: Tensor,
    keep: int,
    *,
    weights: Tensor | None = None,
    num_valid: Tensor | None = None,
    barriers: Tensor | None = None,
    width: int | None = None,
    similarity: Similarity = "token_cosine",
    merge: Merge = "weighted",
    backend: Backend = "auto",
) -> Consolidated:
    """Merges the most similar adjacent pair of slots, again and again, until `keep` are left; each camera on its own.

    tokens: [B, T, N, W] float32 | bfloat16 | float16, contiguous or not
    keep: 1..T
    weights: [B, T] frames per slot, positive, default ones
    num_valid: integer [B], how many of the T slots count, 0..T, default T; the others are not read
    barriers: bool [B, T - 1], True between slots that must not merge (a gap), default none
    width: similarity reads the first `width` channels, default all
    similarity: "token_cosine", the mean over the N token positions of the cosine (the paper), or "mean_dot", the mean
        of all N x N dot products (the published code)
    merge: "weighted" by frames, or "halving", (a + b) / 2 whatever the weights (the published code)
    backend: "auto" takes "triton" for tensors on CUDA where Triton is installed, "cpu" for tensors on the CPU, else
        "torch", the reference, which runs anywhere

    Ties: the earliest pair. Arithmetic in float32 (IEEE) or better, rounded once to the dtype of `tokens`; a mean dot
    beyond float32 counts as its largest number, and a token whose length is below 1e-12 or whose square is beyond
    float32 has no direction: its cosine counts 0. Where barriers leave more segments than `keep`, the oldest are
    dropped, whatever they weigh. A slot with NaN or Inf weighs 0, is counted, is merged away before anything else and
    changes nobody's values; one that barriers cut off from all others stays, as zeros. The kernel reckons with dots of
    the slots as they came, so where two tokens nearly cancel (their mean's square is below 1e-3 of theirs), that
    token's cosine is only known to lie in -1..1 there. On a GPU nothing waits for the device, so the values of weights
    and num_valid are taken on trust there.

    Raises:
        ValueError: an argument does not fit; expected and received are in the text.

    Source: MovieChat, arXiv 2307.16449, algorithm 1.
    """
    problem = check(
        tokens,
        keep,
        weights=weights,
        num_valid=num_valid,
        barriers=barriers,
        width=width,
        similarity=similarity,
        merge=merge,
    )
    if backend not in BACKENDS:
        raise ValueError(f"expected backend to be one of {BACKENDS}, received {backend!r}")
    if backend == "cpu" or (backend == "auto" and tokens.device.type == "cpu"):
        return consolidate_cpu(problem)
    if backend == "torch" or (backend == "auto" and not _triton_fits(tokens.device)):
        with torch.no_grad():
            return consolidate_reference(problem)
    if importlib.util.find_spec("triton") is None:
        raise ValueError("expected an installed Triton for backend='triton', received none: use backend='torch'")
    from memory.similarity_merge.kernel import consolidate_triton  # heavy, and absent where there is no Triton

    with torch.no_grad():
        return consolidate_triton(problem)


def _triton_fits(device: torch.device) -> bool:
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None
