"""A question put to the archive alone: no agent need run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from llm.base import LanguageModel, Remote
from llm.errors import LanguageModelError
from llm.prompt import MAX_QUESTION_CHARACTERS
from memory import ArchiveError
from streamer.archived import foreword, recall_archived, strangeness
from streamer.device import DeviceThread, Priority
from streamer.errors import QuestionError
from streamer.questions import ANSWER_TOKENS, Answer, Latency
from streamer.steps import each_piece
from streamer.times import Span


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
        return await _answer(model, device, folder, camera, question, span)


async def _answer(
    model: LanguageModel, device: DeviceThread, folder: Path, camera: str, question: str, span: Span
) -> Answer:
    asked_seconds = time.monotonic()
    try:
        archived = await recall_archived(model, device, folder, camera, question, span)
        evidence = archived.evidence
        queue_seconds, first_token_seconds = time.monotonic() - asked_seconds, 0.0
        text = foreword(evidence) + strangeness(model, archived.camera_kind)
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
