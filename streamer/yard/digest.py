"""What helps the words while they learn to remember: to read a slot, and to find the one that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from streamer.yard.remembering import Written
from streamer.yard.shown import NUM_ASKED
from streamer.yard.side_by_side import Heads
from streamer.yard.sources import NOTHING_MORE
from streamer.yard.watched import ALL_ASKED

CLOCK_SHARE, COUNTING_SHARE, ORDINAL_SHARE, SOURCE_SHARE, FETCHED_SHARE = 0.3, 2.0, 2.0, 1.0, 0.3
PRESENT_SHARE, LEFT_SHARE, RECENT_SHARE, ARRIVED_SHARE = 3.0, 8.0, 20.0, 40.0
"""Slots hold next to nothing of all that can be asked, so the mean over it is small, and drowns beside the clock's."""
KNOWN_AFTER = 2
"""After so many layers a slot shall know what it shows; one later, from when to when it lasts and what came in it; two
more, what came within the last minute, the how manieth of its kind each was, and each word that is told, which slot it
is from. One more, and that word shall know the time to tell."""
COUNTING_LAYER = KNOWN_AFTER + 2
COUNTING_HEADS = (
    (*(place for place, (_, colour) in enumerate(ALL_ASKED) if not colour), NUM_ASKED - 1),
    tuple(place for place, (_, colour) in enumerate(ALL_ASKED) if colour),
)
"""What each of two heads counts: what is called by its kind alone and the gate, and what has a colour."""
LOOKING_LAYER = KNOWN_AFTER + 3
LOOKING_HEADS = (1, 0)
"""With which words look at their slot: those found by a name and a number, and those that come next."""
MOST_COUNTED = 8
AGAIN_WEIGHT = 3.0
"""What came before is rarer than what came for the first time, and has to be learned."""
_TIME_SIZES, _TIME_SHARES = [24, 60, 60], (1.0, 1.0, 0.1)
"""Of hours, minutes and seconds; those tell lengths alone, and are learned last."""


class DigestHelper(nn.Module):
    """While it learns: asks the mean of each picture's tokens after the first layer what is there; the token behind it
    from when to when its slot lasts, what it shows, what came in it and the how manieth of its kind that was; and each
    word of an answer that comes from a slot to look at that token, or at the end of a list at the first of all, and
    then to know the time it tells of it.

    Whoever is asked what came when needs a place at which both are known, and has to find it. From answers alone that
    is learned too late: after thousands of steps the minute that was told was that of no slot.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.clock = nn.Linear(width, 2 * sum(_TIME_SIZES))
        self.glance = nn.Linear(width, NUM_ASKED)
        self.present = nn.Linear(width, NUM_ASKED)
        self.arrived = nn.Linear(width, NUM_ASKED)
        self.ordinal = nn.Linear(width, NUM_ASKED * MOST_COUNTED)
        self.fetched = nn.Linear(width, sum(_TIME_SIZES))
        self.left = nn.Linear(width, NUM_ASKED)
        self.recent = nn.Linear(width, NUM_ASKED)

    def forward(self, states: Sequence[Tensor], is_picture: Tensor, batch: Sequence[Written], heads: Heads) -> Tensor:
        """`states` [B, L, D] after each layer, `is_picture` [B, L] where pictures' tokens stand -> loss."""
        is_behind = torch.zeros_like(is_picture)
        is_behind[:, 1:] = is_picture[:, :-1] & ~is_picture[:, 1:]
        device = states[0].device
        clock = torch.cat([each.clock for each in batch]).to(device)
        present = torch.cat([each.present for each in batch]).to(device)
        arrived = torch.cat([each.arrived for each in batch]).to(device)
        left = torch.cat([each.left for each in batch]).to(device)
        recent = torch.cat([each.recent for each in batch]).to(device)
        early, later, later_still = (states[KNOWN_AFTER + k][is_behind].float() for k in range(3))
        glance = states[1][is_picture].float().view(len(clock), -1, states[1].shape[-1]).mean(1)
        weight = torch.full((NUM_ASKED,), 4.0, device=device)
        told = self.clock(later).chunk(2, dim=-1)
        loss: Tensor = (
            CLOCK_SHARE * (_clock_loss(told[0], clock[:, :3]) + _clock_loss(told[1], clock[:, 3:]))
            + binary_cross_entropy_with_logits(self.glance(glance).float(), present, pos_weight=weight)
            + PRESENT_SHARE * binary_cross_entropy_with_logits(self.present(early).float(), present, pos_weight=weight)
            + LEFT_SHARE * binary_cross_entropy_with_logits(self.left(later).float(), left, pos_weight=0.5 * weight)
            + RECENT_SHARE * binary_cross_entropy_with_logits(self.recent(later_still), recent, pos_weight=0.5 * weight)
            + ARRIVED_SHARE
            * binary_cross_entropy_with_logits(self.arrived(later).float(), arrived, pos_weight=0.5 * weight)
            + ORDINAL_SHARE * self._of_ordinals(states[LOOKING_LAYER][is_behind], batch)
            + COUNTING_SHARE * counting_loss(states[COUNTING_LAYER], is_behind, batch, heads)
        )
        for is_next in (False, True):
            found = _of_sources(states[LOOKING_LAYER], is_behind, batch, heads, is_next=is_next)
            fetched = self._of_fetched(states[LOOKING_LAYER + 1], batch, is_next=is_next)
            loss = loss + SOURCE_SHARE * found + FETCHED_SHARE * fetched
        return loss

    def _of_ordinals(self, states: Tensor, batch: Sequence[Written]) -> Tensor:
        """The how manieth coming of its kind each was, in the slots in which something came."""
        arrived = torch.cat([each.arrived for each in batch]).to(states.device) > 0
        ordinals = torch.cat([each.arrived.cumsum(0) for each in batch]).to(states.device).long() - 1
        if not arrived.any():
            return states.sum() * 0.0
        told = self.ordinal(states).float().view(*arrived.shape, MOST_COUNTED)
        return cross_entropy(told[arrived], ordinals[arrived].clamp(max=MOST_COUNTED - 1))

    def _of_fetched(self, states: Tensor, batch: Sequence[Written], *, is_next: bool) -> Tensor:
        """The time that is told."""
        found = [_sources_of(each, is_next=is_next) for each in batch]
        words = torch.cat(
            [own[places[slots >= 0]].float() for own, (places, slots, _) in zip(states, found, strict=True)]
        )
        clock = torch.cat([clock[slots >= 0] for _, slots, clock in found]).to(states.device)
        return _clock_loss(self.fetched(words), clock) if len(clock) else states.sum() * 0.0


def counting_loss(states: Tensor, is_behind: Tensor, batch: Sequence[Written], heads: Heads) -> Tensor:
    """A slot in which something came looks at all slots in which the same came before and as much at the first token of
    all: what is left for that one tells how many there were.
    """
    losses = []
    for row, each in enumerate(batch):
        behind = torch.nonzero(is_behind[row]).flatten()
        for head, columns in enumerate(COUNTING_HEADS):
            arrived = each.arrived[:, list(columns)].to(states.device)
            came = torch.nonzero(arrived.any(1)).flatten()
            if not len(came):
                continue
            before = arrived.cumsum(0) - arrived
            weight = arrived[came] / (before[came] + 1) / arrived[came].sum(1, keepdim=True)
            wanted = torch.zeros(len(came), states.shape[1], device=states.device)
            wanted[:, behind] = (weight[:, None] * arrived).sum(-1) * (behind[None] < behind[came][:, None])
            wanted[:, 0] = weight.sum(1)
            scores = heads.scores(states, row, behind[came], layer=COUNTING_LAYER, head=head)
            again = torch.where(wanted[:, 0] < 1, AGAIN_WEIGHT, 1.0)
            losses.append((cross_entropy(scores, wanted, reduction="none") * again).mean())
    return torch.stack(losses).mean() if losses else states.sum() * 0.0


def _of_sources(states: Tensor, is_behind: Tensor, batch: Sequence[Written], heads: Heads, *, is_next: bool) -> Tensor:
    """What the looking head of the layer that `states` come into should look at, and does not."""
    head = LOOKING_HEADS[int(is_next)]
    losses = []
    for row, each in enumerate(batch):
        places, slots, _ = (part.to(states.device) for part in _sources_of(each, is_next=is_next))
        if len(places):
            behind = torch.nonzero(is_behind[row]).flatten()
            looked_at = torch.where(slots == NOTHING_MORE, 0, behind[slots])
            losses.append(cross_entropy(heads.scores(states, row, places, layer=LOOKING_LAYER, head=head), looked_at))
    return torch.stack(losses).mean() if losses else states.sum() * 0.0


def _sources_of(each: Written, *, is_next: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(places [K], slots [K], clock [K, 3]) of what is found by name and number, or of what comes next."""
    own = each.sources[each.sources[:, 2] == int(is_next)]
    return own[:, 0], own[:, 1], own[:, 3:]


def _clock_loss(told: Tensor, clock: Tensor) -> Tensor:
    """Of hours, minutes and seconds, [K, 24 + 60 + 60] against int64 [K, 3]."""
    parts = torch.split(told.float(), _TIME_SIZES, dim=-1)
    losses = [cross_entropy(part, wanted) for part, wanted in zip(parts, clock.unbind(1), strict=True)]
    return torch.stack([share * loss for share, loss in zip(_TIME_SHARES, losses, strict=True)]).sum()
