"""A question about a time that is in the archive, asked as if it were then; no agent need run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from llm.base import LanguageModel, Remote
from llm.errors import LanguageModelError
from llm.prompt import MAX_QUESTION_CHARACTERS, STALE_SECONDS
from memory import ArchiveError, ArchiveReader, EncoderKind, Evidence, EvidenceSlot, KeptMoment, Memory
from streamer.agent import MAX_EVIDENCE_SLOTS
from streamer.device import DeviceThread, Priority
from streamer.errors import QuestionError
from streamer.questions import ANSWER_TOKENS, Answer, Latency
from streamer.steps import each_piece
from streamer.times import Span

MOST_MOMENTS = 512
"""So many moments before the time that is asked about are looked at: a question about a year ago takes no longer than
one about yesterday."""


class Archived(NamedTuple):
    """What was kept of a camera, as evidence whose slots are named by their moments."""

    camera: str
    evidence: Evidence


async def ask_archive(model: LanguageModel, folder: Path, camera: str, question: str, span: Span) -> Answer:
    """Raises: QuestionError, one line that says what to do."""
    question = question.strip()
    if not question:
        raise QuestionError("the question is empty; ask, for example: What is happening?")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise QuestionError(
            f"the question has {len(question)} characters, and at most {MAX_QUESTION_CHARACTERS} are read; ask a "
            "shorter one"
        )
    async with DeviceThread() as device, _connected(model):
        return await _answer(model, device, partial(recall_archived, model, folder, camera, question, span), question)


async def _answer(model: LanguageModel, device: DeviceThread, recall: Callable[[], Archived], question: str) -> Answer:
    asked_seconds = time.monotonic()
    try:
        camera, evidence = await device.run(Priority.FREEZE, recall)
        queue_seconds, first_token_seconds = time.monotonic() - asked_seconds, 0.0
        text = _foreword(evidence)
        steps = model.answer(evidence, question, camera=camera, max_new_tokens=ANSWER_TOKENS)
        async with aclosing(each_piece(steps, device=device, priority=Priority.ANSWER)) as pieces:
            async for piece in pieces:
                if piece.is_token and not first_token_seconds:
                    first_token_seconds = time.monotonic() - asked_seconds
                text += piece.text
    except (ArchiveError, LanguageModelError) as error:
        raise QuestionError(str(error)) from error
    total_seconds = time.monotonic() - asked_seconds
    return Answer(
        camera=camera,
        question=question,
        answer=text.strip() or "(the model gave no answer)",
        asked_at_seconds=evidence.now_seconds,
        frame_age_seconds=evidence.frame_age_seconds or 0.0,
        evidence=evidence.slots,
        memory={"moments": len(evidence.slots)},
        latency=Latency(queue_seconds, first_token_seconds or total_seconds, total_seconds),
        model=model.name,
        usage=model.usage if isinstance(model, Remote) else None,
    )


def _foreword(evidence: Evidence) -> str:
    age_seconds = evidence.frame_age_seconds or 0.0
    return f"(The newest picture of then is {age_seconds:.0f} s older.) " if age_seconds > STALE_SECONDS else ""


@asynccontextmanager
async def _connected(model: LanguageModel) -> AsyncIterator[None]:
    """A remote one's connection, for as long as one question takes."""
    if not isinstance(model, Remote):
        yield
        return
    async with asyncio.TaskGroup() as group:
        task = group.create_task(model.keep_connected(), name="remote model")
        try:
            yield
        finally:
            task.cancel()


def recall_archived(model: LanguageModel, folder: Path, camera: str, question: str, span: Span) -> Archived:
    """What the archive has of a span, merged to fit the model's budget as memory merges it.

    Raises: ArchiveError; QuestionError where it has nothing of that camera and time.
    """
    encoder = model.encoder
    memory = Memory(
        1,
        num_tokens=encoder.num_tokens,
        width=encoder.width,
        similarity_width=encoder.similarity_width,
        max_slots=MAX_EVIDENCE_SLOTS,
        dtype=model.dtype,
        device=model.device,
    )
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
