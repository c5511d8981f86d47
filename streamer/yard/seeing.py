"""The first stage of training: the eyes learn what stands where, and to call alike what shows the same.

Memory merges the slots whose tokens are most alike. So what memory keeps is decided here: the eyes are taught that a
picture differs from another by what came, went, was opened or lit, and hardly by where somebody stands or how bright
it is.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from encoders import Preprocessing
from streamer.yard.sights import NUM_CONTENTS, NUM_LABELS, Sight

PEAK_LEARNING_RATE = 1e-3
WARMUP_STEPS = 200
HELPER_SHARE, LIKENESS_SHARE, CONTENTS_SHARE = 4.0, 2.0, 2.0
LEAST_MIXED = 0.2
"""Where memory merges two, the smaller part has at least so much, if it shall still be seen."""
LIKENESS_OF_ONE = 0.7
"""How alike two pictures shall be of which one shows one thing more; with two things its square."""


class Eyes(nn.Module):
    """Vision tower and projector of `model`, and two helper heads.

    One asks each picture token what stands in its part, the other the mean of all what is there at all, of single
    pictures and of two that are merged as memory merges them: so that who looks at a slot sees it at one glance.
    """

    def __init__(self, model: Any, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.tower = model.model.vision_model
        self.projector = model.model.connector
        self.helper = nn.Linear(model.config.text_config.hidden_size, NUM_LABELS)
        self.contents = nn.Linear(model.config.text_config.hidden_size, 2 * NUM_CONTENTS)
        self._see = model.get_image_features
        self._preprocessing = preprocessing

    def forward(self, batch: Sight) -> tuple[Tensor, Tensor, Tensor]:
        """(loss of the parts, of likeness, of contents)."""
        pixels = self._preprocessing.normalise(batch.planes, torch.float32)
        tokens = torch.stack(list(self._see(pixel_values=pixels[:, None]).pooler_output)).float()
        weight = torch.full((NUM_LABELS,), 8.0, device=tokens.device)
        weight[-3:] = 1.0
        helper = binary_cross_entropy_with_logits(self.helper(tokens).float(), batch.grid, pos_weight=weight)
        return helper, likeness_loss(tokens, batch.contents), self._contents_loss(tokens, batch.contents)

    def _contents_loss(self, tokens: Tensor, contents: Tensor) -> Tensor:
        glance = tokens.mean(1)
        share = torch.rand(len(glance) // 2, 1, device=glance.device) * (1 - 2 * LEAST_MIXED) + LEAST_MIXED
        mixed = glance[0::2] * share + glance[1::2] * (1 - share)
        there = torch.cat([contents, torch.maximum(contents[0::2], contents[1::2])])
        known = ~there.isnan().any(1)
        wanted = torch.cat([there > 0, there > 1], dim=1)[known].float()
        asked = self.contents(torch.cat([glance, mixed])[known]).float()
        return binary_cross_entropy_with_logits(asked, wanted, pos_weight=torch.tensor(4.0, device=asked.device))


def likeness_loss(tokens: Tensor, contents: Tensor) -> Tensor:
    """How far the likeness of each two pictures, as memory reckons it, is from what their contents make it.

    tokens [P, N, W], contents [P, C]; the pairs (2k, 2k + 1) count as much as all others together.
    """
    alike = torch.einsum("inw,jnw->ij", normalize(tokens, dim=-1), normalize(tokens, dim=-1)) / tokens.shape[1]
    apart = (contents[:, None] - contents[None]).abs().sum(-1)
    known = (~apart.isnan()).float()
    missed = (alike - LIKENESS_OF_ONE ** torch.nan_to_num(apart)).square() * known
    first = torch.arange(0, len(tokens) - 1, 2, device=tokens.device)
    return missed.sum() / known.sum() + missed[first, first + 1].mean()


def step_of_seeing(eyes: Eyes, optimiser: torch.optim.Optimizer, batch: Sight, rate: float, *, is_half: bool) -> str:
    """One step; `is_half`: matrices in bfloat16."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    with torch.autocast(batch.planes.device.type, torch.bfloat16, enabled=is_half):
        parts, likeness, contents = eyes(batch)
    optimiser.zero_grad()
    (HELPER_SHARE * parts + LIKENESS_SHARE * likeness + CONTENTS_SHARE * contents).backward()
    nn.utils.clip_grad_norm_(eyes.parameters(), 1.0)
    optimiser.step()
    return f"parts {parts.item():.4f} likeness {likeness.item():.4f} contents {contents.item():.4f}"


def learning_rate(step: int, num_steps: int) -> float:
    """Up for `WARMUP_STEPS`, then half a cosine down to a fiftieth of the peak."""
    done = min(1.0, step / max(1, num_steps))
    return PEAK_LEARNING_RATE * min(1.0, (step + 1) / WARMUP_STEPS) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))
