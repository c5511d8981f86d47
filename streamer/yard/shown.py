"""What the slots of a memory show of what happened: a time can be told no better than the slots have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memory import EvidenceSlot
from streamer.yard.events import Coming, Event
from streamer.yard.watched import ALL_ASKED, Watched, is_of

LEAST_SHARE = 0.12
"""A slot shows what was there for at least so much of its time; less is lost in its mean."""
MOST_SHIFT_SECONDS = 75.0
"""What a slot shows begins so near to its beginning, or its time cannot be told."""
NUM_ASKED = len(ALL_ASKED) + 1
"""All that can be asked about, and the open gate."""

_Happening = TypeVar("_Happening", Coming, Event)


@dataclass(frozen=True)
class Shown:
    """The truth through the slots of a memory.

    watched  the same comings, each from the beginning of the first slot that shows it to that of the slot behind the
             last that does; those that no slot shows, or at another time, are in doubt
    present  bool [S, NUM_ASKED], what each slot shows
    arrived  bool [S, NUM_ASKED], what came in it
    left     bool [S, NUM_ASKED], what had gone when it began
    """

    watched: Watched
    present: Tensor
    arrived: Tensor
    left: Tensor


def shown(watched: Watched, slots: Sequence[EvidenceSlot]) -> Shown:
    """`watched` as `slots` have it, which cover it."""
    starts = np.array([slot.start_seconds for slot in slots])
    ends = np.array([slot.end_seconds for slot in slots])
    present = np.zeros((len(slots), NUM_ASKED), np.bool_)
    arrived = np.zeros((len(slots), NUM_ASKED), np.bool_)
    there: list[Coming] = []
    doubtful: set[Coming] = set()
    last_places: dict[tuple[str, str], tuple[Coming, int]] = {}
    for coming in watched.there:
        places = np.flatnonzero(_shares(coming, starts, ends) >= LEAST_SHARE)
        asked = [place for place, each in enumerate(ALL_ASKED) if is_of(coming, each)]
        moved = _moved(coming, places, starts, ends, watched)
        there.append(moved or coming)
        if moved is None:
            doubtful.add(coming)
            continue
        before = last_places.get(coming.named)
        if before is not None and places[0] <= before[1] + 1:  # no slot between them shows that it was away
            doubtful |= {before[0], moved}
        last_places[coming.named] = moved, int(places[-1])
        present[places[:, None], asked] = True
        if moved.start_seconds > watched.since_seconds:
            arrived[int(places[0]), asked] = True
    gate: list[Event] = []
    for event in watched.gate:
        places = np.flatnonzero(_shares(event, starts, ends) >= LEAST_SHARE)
        opened = _moved(event, places, starts, ends, watched)
        gate.append(opened or replace(event, start_seconds=-np.inf))  # its beginning is not known
        present[places, -1] = True
        if opened is not None and opened.start_seconds > watched.since_seconds:
            arrived[int(places[0]), -1] = True
    there.sort(key=lambda coming: (coming.start_seconds, coming.named))
    seen = replace(watched, there=tuple(there), gate=tuple(gate), doubtful=frozenset(doubtful))
    left = np.zeros_like(present)
    left[1:] = present[:-1] & ~present[1:]
    return Shown(seen, *map(torch.from_numpy, (present, arrived, left)))


def _moved(
    happening: _Happening,
    places: NDArray[np.int64],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    watched: Watched,
) -> _Happening | None:
    """`happening` with the times of the slots that show it; None where none does, or at quite another time."""
    if not len(places):
        return None
    start_seconds, after = float(starts[places[0]]), int(places[-1]) + 1
    end_seconds = float(starts[after] if after < len(starts) else ends[-1])
    if happening.start_seconds < watched.since_seconds:
        start_seconds = happening.start_seconds
    if happening.end_seconds >= watched.now_seconds:
        end_seconds = happening.end_seconds
    if abs(start_seconds - happening.start_seconds) > MOST_SHIFT_SECONDS:
        return None
    return replace(happening, start_seconds=start_seconds, end_seconds=max(end_seconds, start_seconds))


def _shares(happening: Coming | Event, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of each slot's time it was there."""
    common = np.minimum(ends, happening.end_seconds) - np.maximum(starts, happening.start_seconds)
    is_moment = ends - starts < 1.0
    middle = (starts + ends) / 2
    is_inside = (happening.start_seconds <= middle) & (middle < happening.end_seconds)
    lengths = np.where(is_moment, 1.0, ends - starts)
    return np.where(is_moment, is_inside.astype(np.float64), np.clip(common / lengths, 0.0, 1.0))
