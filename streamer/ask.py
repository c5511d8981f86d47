"""A question put to the archive alone: no agent need run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from llm.base import LanguageModel, Remote
from llm.errors import LanguageModelError
from memory import ArchiveError
from streamer.answer import ANSWER_TOKENS, NO_ANSWER, Answer, Latency, as_put, tell
from streamer.archived import foreword, recall_archived, strangeness
from streamer.device import DeviceThread
from streamer.errors import QuestionError
from streamer.times import Span


async def ask_archive(model: LanguageModel, folder: Path, camera: str, question: str, span: Span) -> Answer:
    """Raises: QuestionError, one line that says what to do."""
    async with DeviceThread() as device, _connected(model):
        return await _answer(model, device, folder, camera, as_put(question), span)


async def _answer(
    model: LanguageModel, device: DeviceThread, folder: Path, camera: str, question: str, span: Span
) -> Answer:
    asked_seconds = time.monotonic()
    try:
        archived = await recall_archived(model, device, folder, camera, question, span)
        evidence = archived.evidence
        queue_seconds = time.monotonic() - asked_seconds
        text = foreword(evidence) + strangeness(model, archived.camera_kind)
        steps = model.answer(evidence, question, camera=camera, max_new_tokens=ANSWER_TOKENS)
        told, first_token_seconds = await tell(
            steps, device=device, asked_monotonic_seconds=asked_seconds, say=lambda _: None
        )
    except (ArchiveError, LanguageModelError) as error:
        raise QuestionError(str(error)) from error
    total_seconds = time.monotonic() - asked_seconds
    return Answer(
        camera=camera,
        question=question,
        answer=(text + told).strip() or NO_ANSWER,
        asked_at_seconds=evidence.now_seconds,
        frame_age_seconds=evidence.frame_age_seconds or 0.0,
        evidence=evidence.slots,
        memory={"moments": len(evidence.slots)},
        latency=Latency(queue_seconds, first_token_seconds, total_seconds),
        model=model.name,
        usage=model.usage if isinstance(model, Remote) else None,
    )


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
