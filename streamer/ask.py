"""A question from another terminal: to the agent that runs, or to its archive alone."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from llm.base import LanguageModel, Remote
from llm.errors import LanguageModelError
from llm.prompt import MAX_QUESTION_CHARACTERS
from memory import ArchiveError
from streamer.archived import Archived, foreword, recall_archived
from streamer.device import DeviceThread, Priority
from streamer.errors import QuestionError
from streamer.local_server import SOCKET_NAME
from streamer.questions import ANSWER_TOKENS, Answer, Latency
from streamer.steps import each_piece
from streamer.times import Span

ANSWER_BYTES = 1 << 20
AGENT_SECONDS = 300.0
"""How long a whole answer may take: those that wait before it too."""


async def ask_agent(
    folder: Path, camera: str, question: str, span: Span | None, *, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """The answer as `Answer.to_json` has it, its pieces said as they come; None where no agent listens.

    Raises: QuestionError, in the agent's words, or where it breaks off.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(folder / SOCKET_NAME, limit=ANSWER_BYTES)
    except OSError:
        return None
    times = {} if span is None else {"until": span.until_seconds}
    if span is not None and math.isfinite(span.since_seconds):
        times["since"] = span.since_seconds
    try:
        writer.write(json.dumps({"camera": camera, "question": question, **times}).encode() + b"\n")
        async with asyncio.timeout(AGENT_SECONDS):
            while line := await reader.readline():
                message = json.loads(line)
                if "error" in message:
                    raise QuestionError(message["error"])
                if "answer" in message:
                    return dict(message["answer"])
                say(message["piece"])
    except TimeoutError as error:
        raise QuestionError(f"the agent gave no answer within {AGENT_SECONDS:.0f} s; ask again") from error
    except (ConnectionError, ValueError) as error:
        raise QuestionError("the agent broke off in the midst of the answer; is it still running?") from error
    finally:
        writer.close()
    raise QuestionError("the agent ended before the answer was whole")


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
        text = foreword(evidence)
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
