"""What helps the words while they learn to remember: to read a slot, and to find the one that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from streamer.yard.remembering import Written
from streamer.yard.shown import NUM_ASKED

CLOCK_SHARE, SOURCE_SHARE, FETCHED_SHARE = 0.3, 0.3, 0.3
SOURCE_SCALE = 8.0
KNOWN_AFTER = 2
"""After so many layers a slot shall know what it shows; one later, when it began and what came in it. One more, and
the end of a question shall know when the slot began that its answer is from."""


class DigestHelper(nn.Module):
    """While it learns: asks the mean of each picture's tokens after the first layer what is there; the token behind it
    when its slot began, what it shows and what came in it; and the end of each question which of these tokens its
    answer is from, and then when that slot began.

    Whoever is asked what came when needs a place at which both are known, and has to find it. From answers alone that
    is learned too late: after thousands of steps the minute that was told was that of no slot.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.clock = nn.Linear(width, 24 + 60)
        self.glance = nn.Linear(width, NUM_ASKED)
        self.present = nn.Linear(width, NUM_ASKED)
        self.arrived = nn.Linear(width, NUM_ASKED)
        self.wanted = nn.Linear(width, width)
        self.fetched = nn.Linear(width, 24 + 60)

    def forward(self, states: Sequence[Tensor], is_picture: Tensor, batch: Sequence[Written]) -> Tensor:
        """`states` [B, L, D] after each layer, `is_picture` [B, L] where pictures' tokens stand -> loss."""
        is_behind = torch.zeros_like(is_picture)
        is_behind[:, 1:] = is_picture[:, :-1] & ~is_picture[:, 1:]
        device = states[0].device
        clock = torch.cat([each.clock for each in batch]).to(device)
        present = torch.cat([each.present for each in batch]).to(device)
        arrived = torch.cat([each.arrived for each in batch]).to(device)
        early, later = states[KNOWN_AFTER][is_behind].float(), states[KNOWN_AFTER + 1][is_behind].float()
        glance = states[1][is_picture].float().view(len(clock), -1, states[1].shape[-1]).mean(1)
        weight = torch.full((NUM_ASKED,), 4.0, device=device)
        return (
            CLOCK_SHARE * _clock_loss(self.clock(later), clock)
            + binary_cross_entropy_with_logits(self.glance(glance).float(), present, pos_weight=weight)
            + binary_cross_entropy_with_logits(self.present(early).float(), present, pos_weight=weight)
            + 2.0 * binary_cross_entropy_with_logits(self.arrived(later).float(), arrived, pos_weight=2.0 * weight)
            + SOURCE_SHARE * self._of_sources(states[KNOWN_AFTER + 1], is_behind, batch)
            + FETCHED_SHARE * self._of_fetched(states[KNOWN_AFTER + 2], batch)
        )

    def _of_sources(self, states: Tensor, is_behind: Tensor, batch: Sequence[Written]) -> Tensor:
        losses = []
        for own, behind, each in zip(states, is_behind, batch, strict=True):
            if len(each.sources):
                ends, places = each.sources.to(own.device).unbind(1)
                slots, asked = (normalize(own[which].float(), dim=-1) for which in (behind, ends))
                losses.append(cross_entropy(self.wanted(asked).float() @ slots.T * SOURCE_SCALE, places))
        return torch.stack(losses).mean() if losses else states.sum() * 0.0

    def _of_fetched(self, states: Tensor, batch: Sequence[Written]) -> Tensor:
        ends = torch.cat([own[each.sources[:, 0]].float() for own, each in zip(states, batch, strict=True)])
        clock = torch.cat([each.clock[each.sources[:, 1]] for each in batch]).to(states.device)
        return _clock_loss(self.fetched(ends), clock) if len(clock) else states.sum() * 0.0


def _clock_loss(told: Tensor, clock: Tensor) -> Tensor:
    """Of hours and minutes, [K, 24 + 60] against int64 [K, 2]."""
    told = told.float()
    return cross_entropy(told[:, :24], clock[:, 0]) + cross_entropy(told[:, 24:], clock[:, 1])
