"""A question's view of memory: what the ring and long-term memory hold, frozen, nothing twice and nothing left out.

It knows no question and no words, and not yet the disk.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from memory.checks import check_sizes
from memory.gaps import Gap, GapLog
from memory.long_term import LongTermMemory, LongTermView
from memory.ring import RingView, ShortTermMemory
from memory.rows import Rows, fit, share

Tier = Literal["ring", "long_term", "archive"]


@dataclass(frozen=True)
class EvidenceSlot:
    """One slot of evidence: its span, the frames in it, and the note, id and JPEG of its heaviest part."""

    tier: Tier
    start_seconds: float
    end_seconds: float
    weight: int
    note: str
    slot_id: int
    picture: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Evidence:
    """The frozen view of one camera's memory that an answer is made from.

    tokens: [S, N, W], a view of the `EvidenceBuffer`: good until that buffer is filled again; slots: S of them,
        oldest first.
    gaps: those that share a moment with the covered span, from the first slot's start to now.
    newest_seconds: when the newest frame was seen; None where memory has nothing, as is `frame_age_seconds`.

    Raises:
        ValueError: not as many slots as tokens.
    """

    camera: int
    now_seconds: float
    tokens: Tensor
    slots: tuple[EvidenceSlot, ...]
    gaps: tuple[Gap, ...]
    newest_seconds: float | None
    frame_age_seconds: float | None

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or self.tokens.shape[0] != len(self.slots):
            raise ValueError(f"expected tokens [{len(self.slots)}, N, W], received {list(self.tokens.shape)}")

    def __repr__(self) -> str:
        return (
            f"Evidence(camera={self.camera}, now_seconds={self.now_seconds}, tokens={list(self.tokens.shape)} "
            f"{self.tokens.dtype}, gaps={len(self.gaps)}, frame_age_seconds={self.frame_age_seconds})"
        )


class EvidenceBuffer:
    """Room for the tokens of one answer's evidence: [max_slots, num_tokens, width], allocated once.

    Raises:
        ValueError: a size is not positive.
    """

    def __init__(
        self,
        max_slots: int,
        *,
        num_tokens: int,
        width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        check_sizes(max_slots=max_slots, num_tokens=num_tokens, width=width)
        self.max_slots = max_slots
        self.tokens = torch.zeros((max_slots, num_tokens, width), dtype=dtype, device=device)

    @property
    def nbytes(self) -> int:
        return self.tokens.nbytes


def recall(
    ring: ShortTermMemory,
    long_term: LongTermMemory,
    gaps: GapLog,
    camera: int,
    *,
    now_seconds: float,
    max_slots: int,
    out: EvidenceBuffer,
) -> Evidence:
    """Freezes what memory knows of a camera into `out`, in at most `max_slots` slots.

    Long-term memory gives the slots without a frame of the ring's window, the ring every frame after them, so every
    frame counts once. Where that is too much the ring gets a quarter of the places (two at least) and long-term memory
    the rest, each also what the other leaves, and each is consolidated to fit, so that the whole time stays covered;
    the newest frame always stays whole. Below three places there is room for the ring only, and with one for the newest
    frame only. Gaps are not merged over: where they leave too many slots, the oldest are left out.

    Raises:
        ValueError: no such camera, a time that is not finite, max_slots not in 1..out.max_slots, or a buffer of another
            token shape.
    """
    if not math.isfinite(now_seconds):
        raise ValueError(f"expected a finite now_seconds, received {now_seconds}")
    if not 1 <= max_slots <= out.max_slots:
        raise ValueError(f"expected max_slots in 1..{out.max_slots}, received {max_slots}")
    expected = (ring.num_tokens, ring.width)
    if tuple(out.tokens.shape[1:]) != expected or (long_term.num_tokens, long_term.width) != expected:
        raise ValueError(
            f"expected tokens {list(expected)} as in the ring, received {list(out.tokens.shape[1:])} in the buffer and "
            f"{[long_term.num_tokens, long_term.width]} in long-term memory"
        )
    old, new = _each_frame_once(ring, long_term, camera)
    old_places, new_places = share(len(old), len(new), max_slots)
    newest_place = max(0, len(new) - 1)
    likeness = long_term.likeness
    parts: list[tuple[Tier, Rows]] = [
        ("long_term", fit(old, old_places, likeness)),
        ("ring", fit(new.part(0, newest_place), new_places - 1, likeness)),
        ("ring", new.part(newest_place, len(new))),
    ]
    slots: list[EvidenceSlot] = []
    for tier, rows in parts:
        out.tokens[len(slots) : len(slots) + len(rows)].copy_(rows.tokens)
        slots += [_slot(ring, long_term, camera, tier, rows, k) for k in range(len(rows))]
    newest = slots[-1].end_seconds if slots else None
    return Evidence(
        camera=camera,
        now_seconds=now_seconds,
        tokens=out.tokens[: len(slots)],
        slots=tuple(slots),
        gaps=gaps.between(camera, slots[0].start_seconds if slots else -math.inf, now_seconds),
        newest_seconds=newest,
        frame_age_seconds=None if newest is None else max(0.0, now_seconds - newest),
    )


def _each_frame_once(ring: ShortTermMemory, long_term: LongTermMemory, camera: int) -> tuple[Rows, Rows]:
    old, new = long_term.view(camera), ring.view(camera)
    num_old = int(np.searchsorted(old.last_frame_ids, ring.window_first_index(camera)))
    if len(new.slot_ids) == 0:
        num_old = len(old.slot_ids)
    first_new = int(np.searchsorted(new.slot_ids, old.last_frame_ids[num_old - 1], side="right")) if num_old else 0
    return _rows(old).part(0, num_old), _rows(new).part(first_new, len(new.slot_ids))


def _rows(view: RingView | LongTermView) -> Rows:
    return Rows(view.tokens, view.starts, view.ends, view.weights, view.gap_before, view.slot_ids)


def _slot(
    ring: ShortTermMemory, long_term: LongTermMemory, camera: int, tier: Tier, rows: Rows, k: int
) -> EvidenceSlot:
    slot_id = int(rows.slot_ids[k])
    in_ring = tier == "ring"
    return EvidenceSlot(
        tier=tier,
        start_seconds=float(rows.starts[k]),
        end_seconds=float(rows.ends[k]),
        weight=int(rows.weights[k]),
        note="" if in_ring else long_term.note(camera, slot_id),
        slot_id=slot_id,
        picture=ring.picture(camera, slot_id) if in_ring else long_term.picture(camera, slot_id),
    )
