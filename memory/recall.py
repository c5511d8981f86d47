"""A question's view of memory: what the ring and long-term memory hold, frozen, nothing twice and nothing left out.

It knows no question and no words, and not yet the disk.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memory.checks import check_sizes
from memory.gaps import Gap, GapLog
from memory.long_term import LongTermMemory, LongTermView
from memory.ring import RingView, ShortTermMemory
from memory.similarity_merge import consolidate

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


@dataclass(frozen=True)
class _Rows:
    """Some rows of a tier: tokens [T, N, W] and arrays [T]; `slot_ids` are the heaviest parts' ids."""

    tokens: Tensor
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    weights: NDArray[np.int64]
    gap_before: NDArray[np.bool_]
    slot_ids: NDArray[np.int64]

    @classmethod
    def of(cls, view: RingView | LongTermView, start: int, stop: int) -> "_Rows":
        rows = slice(start, stop)
        return cls(
            view.tokens[rows],
            view.starts[rows],
            view.ends[rows],
            view.weights[rows],
            view.gap_before[rows],
            view.slot_ids[rows],
        )

    def __len__(self) -> int:
        return len(self.starts)


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
    old_places, new_places = _share(len(old), len(new), max_slots)
    settled = _fit(_head(new, len(new) - 1), new_places - 1, long_term)
    parts: list[tuple[Tier, _Rows]] = [
        ("long_term", _fit(old, old_places, long_term)),
        ("ring", settled),
        ("ring", _tail(new, min(1, len(new)))),
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


def _each_frame_once(ring: ShortTermMemory, long_term: LongTermMemory, camera: int) -> tuple[_Rows, _Rows]:
    old, new = long_term.view(camera), ring.view(camera)
    num_old = int(np.searchsorted(old.last_frame_ids, ring.window_first_index(camera)))
    if len(new.slot_ids) == 0:
        num_old = len(old.slot_ids)
    first_new = int(np.searchsorted(new.slot_ids, old.last_frame_ids[num_old - 1], side="right")) if num_old else 0
    return _Rows.of(old, 0, num_old), _Rows.of(new, first_new, len(new.slot_ids))


def _share(num_old: int, num_new: int, max_slots: int) -> tuple[int, int]:
    """How many places the old and the new get: the new a quarter, two at least, and each what the other leaves."""
    quarter = min(max(2, max_slots // 4), max_slots)
    new_places = min(num_new, max(quarter, max_slots - num_old))
    return min(num_old, max_slots - new_places), new_places


def _fit(rows: _Rows, places: int, long_term: LongTermMemory) -> _Rows:
    if len(rows) <= places:
        return rows
    if places < 1:
        return _head(rows, 0)
    device = rows.tokens.device
    result = consolidate(
        rows.tokens[None],
        places,
        weights=torch.tensor(rows.weights[None], dtype=torch.float32, device=device),
        barriers=torch.tensor(rows.gap_before[None, 1:], device=device),
        width=long_term.similarity_width,
        similarity=long_term.similarity,
        merge=long_term.merge,
    )
    kept = int(result.num_kept[0])
    firsts = result.boundaries[0, :kept].numpy(force=True)
    stops = result.boundaries[0, 1 : kept + 1].numpy(force=True)
    heaviest = [int(i + rows.weights[i:j].argmax()) for i, j in zip(firsts, stops, strict=True)]
    return _Rows(
        tokens=result.tokens[0, :kept],
        starts=rows.starts[firsts],
        ends=np.array([rows.ends[i:j].max() for i, j in zip(firsts, stops, strict=True)]),
        weights=np.array([rows.weights[i:j].sum() for i, j in zip(firsts, stops, strict=True)]),
        gap_before=rows.gap_before[firsts],
        slot_ids=rows.slot_ids[heaviest],
    )


def _head(rows: _Rows, count: int) -> _Rows:
    return _cut(rows, 0, max(0, count))


def _tail(rows: _Rows, count: int) -> _Rows:
    return _cut(rows, len(rows) - count, len(rows))


def _cut(rows: _Rows, start: int, stop: int) -> _Rows:
    cut = slice(start, stop)
    return _Rows(
        rows.tokens[cut], rows.starts[cut], rows.ends[cut], rows.weights[cut], rows.gap_before[cut], rows.slot_ids[cut]
    )


def _slot(
    ring: ShortTermMemory, long_term: LongTermMemory, camera: int, tier: Tier, rows: _Rows, k: int
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
