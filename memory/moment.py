"""A moment: a slot as it lies on disk. It knows no database."""

from __future__ import annotations

from dataclasses import dataclass, field

from memory.gaps import Gap
from memory.quantised import QuantisedTokens


@dataclass(frozen=True)
class Moment:
    """One slot of long-term memory, made to be kept.

    slot_id      its id in long-term memory, good as long as the agent runs
    gap_before   the camera was lost between the moment before and this one
    picture      JPEG of its heaviest part, masks applied; b"" where it has none
    """

    slot_id: int
    start_seconds: float
    end_seconds: float
    weight: int
    gap_before: bool
    tokens: QuantisedTokens
    picture: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class KeptMoment:
    """One that was read back; `moment_id` is its row, and the id of its picture.

    tokens  None where they were made by another encoder or have been let go
    """

    moment_id: int
    start_seconds: float
    end_seconds: float
    weight: int
    gap_before: bool
    note: str
    tokens: QuantisedTokens | None


@dataclass(frozen=True)
class Chosen:
    """What of an archive is looked at for one question.

    moments  oldest first
    gaps     when the camera was lost, in the time that they cover; the longest
    matched  ids of those whose notes have words of the question, the best first
    """

    moments: tuple[KeptMoment, ...]
    gaps: tuple[Gap, ...] = ()
    matched: tuple[int, ...] = ()
