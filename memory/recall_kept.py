"""Evidence of then: moments from disk, merged to fit one prompt as memory merges what it holds, as if it were then.

It reads no file and allocates nothing that stays.
"""

from __future__ import annotations

import numpy as np
import torch

from memory.moment import Chosen
from memory.policy import policy_of
from memory.recall import Evidence, EvidenceSlot
from memory.rows import Likeness, Rows, fit, share

MOST_NEW = 9
"""The newest moments get places of their own, as the frames of the ring do."""
WHOLE_SHARE = 4
"""At most one place in so many goes to what a note has matched."""


def recall_kept(
    chosen: Chosen,
    *,
    now_seconds: float,
    max_slots: int,
    similarity_width: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Evidence:
    """What was chosen shows at `now_seconds`, in at most `max_slots` slots with tokens in `dtype` on `device`.

    The newest moment stays whole, as do the best of those that were matched; nothing is merged over a gap. Slots are
    named by the moment of their heaviest part, and have no picture yet.

    Raises:
        ValueError: no moment, one without tokens, or `max_slots` is not positive.
    """
    if max_slots < 1:
        raise ValueError(f"expected a positive max_slots, received {max_slots}")
    usual = policy_of("similarity")
    likeness = Likeness(usual.similarity, usual.merge, similarity_width)
    rows = _rows(chosen, now_seconds, dtype=dtype, device=device)
    for place in np.flatnonzero(np.isin(rows.slot_ids, chosen.matched[: max_slots // WHOLE_SHARE])):
        rows.gap_before[place : place + 2] = True
    num_new = min(len(rows), MOST_NEW)
    old, new = rows.part(0, len(rows) - num_new), rows.part(len(rows) - num_new, len(rows))
    old_places, new_places = share(len(old), len(new), max_slots)
    parts = (
        fit(old, old_places, likeness),
        fit(new.part(0, num_new - 1), new_places - 1, likeness),
        new.part(num_new - 1, num_new),
    )
    notes = {moment.moment_id: moment.note for moment in chosen.moments}
    slots = tuple(_slot(part, k, notes) for part in parts for k in range(len(part)))
    newest_seconds = slots[-1].end_seconds
    return Evidence(
        camera=0,
        now_seconds=now_seconds,
        tokens=torch.cat([part.tokens for part in parts]),
        slots=slots,
        gaps=tuple(gap for gap in chosen.gaps if gap.end_seconds >= slots[0].start_seconds),
        newest_seconds=newest_seconds,
        frame_age_seconds=max(0.0, now_seconds - newest_seconds),
    )


def _rows(chosen: Chosen, now_seconds: float, *, dtype: torch.dtype, device: torch.device | str) -> Rows:
    """A moment ends at the latest where the next begins (the clock may have been set back) and at `now_seconds`."""
    moments = chosen.moments
    tokens = [moment.tokens.restored() for moment in moments if moment.tokens is not None]
    if not moments or len(tokens) != len(moments):
        raise ValueError(f"expected moments with tokens, {len(tokens)} of {len(moments)} have them")
    starts = np.array([moment.start_seconds for moment in moments])
    latest = np.append(starts[1:], max(now_seconds, starts[-1]))
    num_gaps_before = np.searchsorted([gap.end_seconds for gap in chosen.gaps], starts, side="right")
    return Rows(
        torch.from_numpy(np.stack(tokens)).to(device=device, dtype=dtype),
        starts=starts,
        ends=np.maximum(starts, np.minimum([moment.end_seconds for moment in moments], latest)),
        weights=np.array([moment.weight for moment in moments]),
        gap_before=np.diff(num_gaps_before, prepend=num_gaps_before[0]) > 0,
        slot_ids=np.array([moment.moment_id for moment in moments]),
    )


def _slot(rows: Rows, k: int, notes: dict[int, str]) -> EvidenceSlot:
    moment_id = int(rows.slot_ids[k])
    return EvidenceSlot(
        tier="archive",
        start_seconds=float(rows.starts[k]),
        end_seconds=float(rows.ends[k]),
        weight=int(rows.weights[k]),
        note=notes[moment_id],
        slot_id=moment_id,
    )
