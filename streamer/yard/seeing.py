"""The first stage of training: the eyes learn what stands where, and to call alike what shows the same.

Memory merges the slots whose tokens are most alike. So what memory keeps is decided here: the eyes are taught that a
picture differs from another by what came, went, was opened or lit, and hardly by where somebody stands or how bright
it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from encoders import Preprocessing
from llm.families import FAMILIES
from streamer.yard.picture_pairs import NUM_CONTENTS, NUM_SWITCHES, PairedPicture
from streamer.yard.shown import LEAST_SHARE

PARTS_SHARE, LIKENESS_SHARE, CONTENTS_SHARE = 4.0, 2.0, 6.0
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
        self.parts = nn.Linear(model.config.text_config.hidden_size, NUM_CONTENTS)
        self.contents = nn.Linear(model.config.text_config.hidden_size, 2 * NUM_CONTENTS)
        self._project = FAMILIES[model.config.model_type](model, tokenizer=None).project
        self._preprocessing = preprocessing

    def forward(self, batch: PairedPicture) -> tuple[Tensor, Tensor, Tensor]:
        """(loss of the parts, of likeness, of contents)."""
        tokens = self._project(self._preprocessing.normalise(batch.planes, torch.float32)).float()
        weight = torch.full((NUM_CONTENTS,), 8.0, device=tokens.device)
        weight[-NUM_SWITCHES:] = 1.0
        parts = binary_cross_entropy_with_logits(self.parts(tokens).float(), batch.grid, pos_weight=weight)
        return parts, likeness_loss(tokens, batch.contents), self._contents_loss(tokens, batch.contents)

    def _contents_loss(self, tokens: Tensor, contents: Tensor) -> Tensor:
        glance = tokens.mean(1)
        share = torch.rand(len(glance) // 2, 1, device=glance.device) * (1 - 2 * LEAST_SHARE) + LEAST_SHARE
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
