"""What the archive has of a time, as evidence for a question that is put as if it were then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from llm.base import LanguageModel
from llm.prompt import STALE_SECONDS
from memory import ArchiveReader, EncoderKind, Evidence, EvidenceSlot, KeptMoment, Memory
from streamer.errors import QuestionError
from streamer.model_memory import memory_of
from streamer.times import Span

MOST_MOMENTS = 512
"""So many moments before the time that is asked about are looked at: a question about a year ago takes no longer than
one about yesterday."""


class Archived(NamedTuple):
    """What was kept of a camera, as evidence whose slots are named by their moments."""

    camera: str
    evidence: Evidence


def recall_archived(model: LanguageModel, folder: Path, camera: str, question: str, span: Span) -> Archived:
    """What the archive has of a span, merged to fit the model's budget as memory merges it.

    Raises: ArchiveError; QuestionError where it has nothing of that camera and time.
    """
    encoder = model.encoder
    memory = memory_of(model)
    kind = EncoderKind(encoder.identity, encoder.num_tokens, encoder.width)
    with ArchiveReader(folder, encoder=kind) as archive:
        kept = list(
            archive.newest(
                camera, most=MOST_MOMENTS, until_seconds=span.until_seconds, since_seconds=span.since_seconds
            )
        )
        readable = [moment for moment in kept if moment.tokens is not None]
        if not readable:
            raise QuestionError(_nothing(archive.cameras(), camera, has_some=bool(kept)))
        moment_ids = memory.replay(0, readable, now_seconds=span.until_seconds, picture=archive.picture)
    reach = memory.reach(0, now_seconds=span.until_seconds)
    slots = model.max_slots(question, camera=camera, reach=reach)
    evidence = memory.recall(0, now_seconds=span.until_seconds, max_slots=slots)
    slots_of = tuple(_archived(slot, moment_ids, readable, memory) for slot in evidence.slots)
    return Archived(camera, replace(evidence, slots=slots_of))


def _archived(
    slot: EvidenceSlot, moment_ids: dict[int, int], readable: Sequence[KeptMoment], memory: Memory
) -> EvidenceSlot:
    """Named by the moment that its picture and note are of."""
    if slot.tier == "long_term":
        return replace(slot, tier="archive", slot_id=moment_ids[slot.slot_id])
    moment = readable[len(readable) - memory.fill(0).ring_slots + slot.slot_id]
    return replace(slot, tier="archive", slot_id=moment.moment_id, note=moment.note)


def _nothing(cameras: dict[str, tuple[float, float]], camera: str, *, has_some: bool) -> str:
    if has_some:
        return f"what the archive has of {camera} then was seen by another model's encoder; ask with that --model"
    if not cameras:
        return "the archive is empty"
    if camera not in cameras:
        return f"the archive knows no camera {camera!r}; it has: {', '.join(cameras)}"
    first, last = (time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) for seconds in cameras[camera])
    return f"the archive has nothing of {camera} from then; it goes from {first} to {last}"


def foreword(evidence: Evidence) -> str:
    """What is said before any model's words, where the camera gave nothing then."""
    age_seconds = evidence.frame_age_seconds or 0.0
    return f"(The newest picture of then is {age_seconds:.0f} s older.) " if age_seconds > STALE_SECONDS else ""
