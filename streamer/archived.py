"""What the archive has of a time, as evidence for a question that is put as if it were then.

The disk is read in a thread of its own, so that no frame waits for it; only the merging is the device's.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from llm.base import LanguageModel
from llm.prompt import STALE_SECONDS
from memory import ArchiveReader, Chosen, EncoderKind, Evidence, Reach, recall_kept
from streamer.device import DeviceThread, Priority
from streamer.errors import QuestionError
from streamer.model_memory import MAX_EVIDENCE_SLOTS, kind_of
from streamer.times import Span

MOST_MOMENTS, MOST_BYTES = 512, 256 * 1024 * 1024
"""So many moments are looked at for one question, and so many bytes of their tokens in 32 bits: one about a year ago
takes no longer than one about yesterday."""


async def recall_archived(
    model: LanguageModel, device: DeviceThread, folder: Path, camera: str, question: str, span: Span
) -> Evidence:
    """What the archive has of a span, merged to fit the model's budget as memory merges it.

    Raises: ArchiveError; QuestionError where it has nothing of that camera and time.
    """
    kind = kind_of(model)
    chosen = await asyncio.to_thread(_choose, kind, folder, camera, question, span)
    evidence = await device.run(Priority.FREEZE, lambda: _merge(model, chosen, camera, question, span))
    return await asyncio.to_thread(_with_pictures, kind, folder, evidence)


def _choose(kind: EncoderKind, folder: Path, camera: str, question: str, span: Span) -> Chosen:
    most = max(1, min(MOST_MOMENTS, MOST_BYTES // (4 * kind.num_tokens * kind.width)))
    with ArchiveReader(folder, encoder=kind) as archive:
        chosen = archive.choose(
            camera, question, since_seconds=span.since_seconds, until_seconds=span.until_seconds, most=most
        )
        readable = tuple(moment for moment in chosen.moments if moment.tokens is not None)
        if not readable:
            raise QuestionError(_nothing(archive.cameras(), camera, has_some=bool(chosen.moments)))
        return replace(chosen, moments=readable)


def _merge(model: LanguageModel, chosen: Chosen, camera: str, question: str, span: Span) -> Evidence:
    reach = Reach(chosen.moments[0].start_seconds, span.until_seconds, len(chosen.gaps))
    return recall_kept(
        chosen,
        now_seconds=span.until_seconds,
        max_slots=min(MAX_EVIDENCE_SLOTS, model.max_slots(question, camera=camera, reach=reach)),
        similarity_width=model.encoder.similarity_width,
        dtype=model.dtype,
        device=model.device,
    )


def _with_pictures(kind: EncoderKind, folder: Path, evidence: Evidence) -> Evidence:
    with ArchiveReader(folder, encoder=kind) as archive:
        slots = tuple(replace(slot, picture=archive.picture(slot.slot_id)) for slot in evidence.slots)
    return replace(evidence, slots=slots)


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
