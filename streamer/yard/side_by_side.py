"""Many questions about one memory in one sequence, each as if it were the only one: positions, mask, and attention.

The memory comes first and is read as ever; so most of the mask is an ordinary causal one, of which half need not be
reckoned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

_NAME = "longwatch_side_by_side"


def positions_and_mask(starts: Sequence[Sequence[int]], lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Positions int64 [B, L] and a mask float32 [B, 1, L, L], 0 where a token may look: its memory, its own question.

    Row b has `lengths[b]` tokens, its questions begin at `starts[b]`; L is the longest. Each question stands right
    behind the memory, whatever stands between.
    """
    longest = max(lengths)
    positions = torch.arange(longest).repeat(len(lengths), 1)
    allowed = torch.ones(longest, longest, dtype=torch.bool).tril().repeat(len(lengths), 1, 1)
    for row, (begins, length) in enumerate(zip(starts, lengths, strict=True)):
        for start, stop in zip(begins, (*begins[1:], length), strict=False):
            positions[row, start:stop] += begins[0] - start
            allowed[row, start:stop, begins[0] : start] = False
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    return positions, mask[:, None]


@contextmanager
def side_by_side(text_model: Any) -> Iterator[None]:
    """While it lasts, `text_model(..., num_shared=n)` takes the mask of the first n tokens to be causal alone."""
    config = text_model.config
    before, config._attn_implementation = config._attn_implementation, _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


@dataclass(frozen=True)
class Heads:
    """What single heads of `text_model` look at: positions int64 [B, L] and mask [B, 1, L, L] as they were read."""

    text_model: Any
    positions: Tensor
    mask: Tensor

    def scores(self, states: Tensor, row: int, places: Tensor, *, layer: int, head: int) -> Tensor:
        """Of the tokens at `places` [P] of a row for all of it, before softmax: float32 [P, L].

        `states` [B, L, D] are what comes into `layer`.
        """
        block = self.text_model.layers[layer]
        attention = block.self_attn
        own = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
        come = block.input_layernorm(states[row][None])
        query, key = (
            linear(come, each.weight[own], None if each.bias is None else each.bias[own])[:, None]
            for each in (attention.q_proj, attention.k_proj)
        )
        turned = self.text_model.rotary_emb(come, self.positions[row][None])
        query, key = (each[0, 0].float() for each in apply_rotary_pos_emb(query, key, *turned))
        scores: Tensor = query[places] @ key.T * attention.scaling + self.mask[row, 0, places].float()
        return scores


def _attend(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    *,
    num_shared: int,
    scaling: float | None = None,
    **_options: Any,
) -> tuple[Tensor, None]:
    """Tensors [B, heads, L, head_dim], mask [B, 1, L, L] -> [B, L, heads, head_dim]."""
    shared, rest = slice(None, num_shared), slice(num_shared, None)
    attended = [
        scaled_dot_product_attention(
            query[:, :, shared], key[:, :, shared], value[:, :, shared], is_causal=True, scale=scaling
        ),
        scaled_dot_product_attention(
            query[:, :, rest], key, value, attn_mask=attention_mask[:, :, rest].to(query.dtype), scale=scaling
        ),
    ]
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, sdpa_mask)
