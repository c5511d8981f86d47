"""Questions about a camera: a bounded queue, a frozen view of memory, a streamed answer; it knows no terminal."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llm.base import LanguageModel, Remote, Usage
from llm.errors import LanguageModelError
from llm.prompt import MAX_QUESTION_CHARACTERS, STALE_SECONDS
from memory import ArchiveError, Evidence, EvidenceSlot, Memory, Reach
from streamer.archived import foreword, recall_archived, strangeness
from streamer.capture import Camera
from streamer.device import DeviceThread, Priority
from streamer.errors import BusyError, NotReadyError, QuestionError
from streamer.steps import each_piece
from streamer.time_phrases import find_span
from streamer.times import Span

log = logging.getLogger(__name__)

MAX_WAITING = 8
"""Questions that wait for their turn; one more is refused."""
MAX_PIECES_WAITING = 128
"""Pieces that wait for a reader; a reader that lets more pile up is dropped, the answer is finished without it."""
ANSWER_TOKENS = 96
OVER_SECONDS = 60.0
"""What is longer ago is asked of the archive, where there is one."""
_WITHDRAWN = "the question was withdrawn"
_STOPPED = "the agent stopped before the answer was whole"


@dataclass(frozen=True)
class Latency:
    """Seconds from asking to: the question's turn, the first token of the model, the end."""

    queue_seconds: float
    first_token_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class Answer:
    """An answer with the evidence that it was made from; times are the camera's clock's, in UTC epoch seconds."""

    camera: str
    question: str
    answer: str
    asked_at_seconds: float
    frame_age_seconds: float
    evidence: tuple[EvidenceSlot, ...]
    memory: dict[str, int]
    latency: Latency
    model: str
    usage: Usage | None = None
    """Of a remote model: what it has cost by now."""

    def to_json(self) -> dict[str, Any]:
        """One flat object for `--json`; evidence as tier, span and weight, of the archive also the id of its picture;
        `usage` only of a remote model."""
        usage = {} if self.usage is None else {"usage": asdict(self.usage)}
        return {
            "camera": self.camera,
            "question": self.question,
            "answer": self.answer,
            "asked_at_seconds": round(self.asked_at_seconds, 3),
            "frame_age_seconds": round(self.frame_age_seconds, 3),
            "evidence": [
                {
                    "tier": slot.tier,
                    "start_seconds": round(slot.start_seconds, 3),
                    "end_seconds": round(slot.end_seconds, 3),
                    "weight": slot.weight,
                    **({"moment_id": slot.slot_id} if slot.tier == "archive" else {}),
                }
                for slot in self.evidence
            ],
            "memory": self.memory,
            "latency": {
                "queue_seconds": round(self.latency.queue_seconds, 4),
                "first_token_seconds": round(self.latency.first_token_seconds, 4),
                "total_seconds": round(self.latency.total_seconds, 4),
            },
            "model": self.model,
            **usage,
        }


@dataclass(eq=False)
class Asked:
    """A question on its way: iterate over it for the pieces of the answer, then read `answer`; or `cancel()` it."""

    camera: int
    question: str
    asked_at_seconds: float
    span: Span | None = None
    """Of the archive, where the one who asks says when; else the question's own words may."""
    asked_monotonic_seconds: float = field(default_factory=time.monotonic)
    is_cancelled: bool = False
    is_dropped: bool = False
    """True where the reader was too slow; the pieces end early, `answer` is whole all the same."""
    _pieces: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(MAX_PIECES_WAITING + 1))
    _done: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _until: asyncio.Timeout | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def answer(self) -> Answer:
        """The whole answer. Raises: QuestionError."""
        return await asyncio.shield(self._done)

    def cancel(self) -> None:
        """Stop answering at once: a step that runs on the device ends unheard, a remote model's stream is closed."""
        if self.is_cancelled:
            return
        self.is_cancelled = True
        if self._until is not None:
            self._until.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def until_cancelled(self) -> AsyncIterator[None]:
        """Ends the block where the question is withdrawn. Raises: QuestionError."""
        if self.is_cancelled:
            raise QuestionError(_WITHDRAWN)
        try:
            async with asyncio.timeout(None) as self._until:
                yield
        except TimeoutError as error:
            if not self.is_cancelled:
                raise
            raise QuestionError(_WITHDRAWN) from error
        finally:
            self._until = None
        if self.is_cancelled:
            raise QuestionError(_WITHDRAWN)

    def say(self, piece: str) -> None:
        if not piece or self.is_dropped:
            return
        if self._pieces.qsize() >= MAX_PIECES_WAITING:
            self.is_dropped = True
            self._pieces.put_nowait(None)
            return
        self._pieces.put_nowait(piece)

    def end(self, result: Answer | QuestionError) -> None:
        if self._done.done():
            return
        if not self.is_dropped:
            self._pieces.put_nowait(None)
        if isinstance(result, Answer):
            self._done.set_result(result)
        else:
            self._done.set_exception(result)
            self._done.exception()  # a reader that went away without asking is no fault


class Questions:
    """Answers one question at a time while the cameras go on.

    archive  the folder of the agent's archive: a question whose words name an earlier time is answered from it
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        *,
        device: DeviceThread,
        model: LanguageModel,
        memory: Memory,
        num_encoded: Sequence[int],
        archive: Path | None = None,
    ) -> None:
        self._cameras = cameras
        self._archive = archive
        self._device = device
        self._model = model
        self._memory = memory
        self._num_encoded = num_encoded
        self._waiting: deque[Asked] = deque()
        self._has_waiting = asyncio.Event()
        self._is_closed = False

    def ask(self, camera: int, question: str, *, span: Span | None = None) -> Asked:
        """Put a question into the queue; it is answered from what memory holds when its turn comes, or the archive of
        `span`.

        Raises: QuestionError (empty, too long, or the agent stops), NotReadyError (no frame yet), BusyError
            (`MAX_WAITING` wait already).
        """
        question = " ".join(question.encode(errors="replace").decode().split())
        if self._is_closed:
            raise QuestionError(_STOPPED)
        if not question:
            raise QuestionError("the question is empty; ask something, for example: What is happening?")
        if len(question) > MAX_QUESTION_CHARACTERS:
            raise QuestionError(
                f"the question has {len(question)} characters, and at most {MAX_QUESTION_CHARACTERS} are read; "
                "ask a shorter one"
            )
        watched = self._cameras[camera]
        if not self._num_encoded[camera]:
            raise NotReadyError(
                f"camera {watched.name} has given no frame yet ({_state(watched)}); ask again when it is live"
            )
        for withdrawn in [one for one in self._waiting if one.is_cancelled]:
            self._waiting.remove(withdrawn)
            withdrawn.end(QuestionError(_WITHDRAWN))
        if len(self._waiting) >= MAX_WAITING:
            raise BusyError(f"{MAX_WAITING} questions wait already; ask again in a moment")
        if span is not None and self._archive is None:
            raise QuestionError("the agent keeps no archive; it needs archive: in its settings to be asked about then")
        asked = Asked(camera, question, watched.now_seconds(), span)
        self._waiting.append(asked)
        self._has_waiting.set()
        return asked

    async def run(self) -> None:
        """For ever; on leaving, those that wait are told."""
        asked: Asked | None = None
        try:
            while True:
                while not self._waiting:
                    self._has_waiting.clear()
                    await self._has_waiting.wait()
                asked = self._waiting.popleft()
                asked.end(await self._answer_or_error(asked))
        finally:
            self._is_closed = True
            for left in (asked, *self._waiting):
                if left is not None:
                    left.end(QuestionError(_STOPPED))

    async def _answer_or_error(self, asked: Asked) -> Answer | QuestionError:
        """A question that cannot be answered ends alone; the agent goes on."""
        try:
            return await self._answer(asked)
        except QuestionError as error:
            return error
        except LanguageModelError as error:
            return QuestionError(str(error))
        except (ValueError, TypeError, RuntimeError) as error:
            log.exception("a question about camera %s failed", self._cameras[asked.camera].name)
            return QuestionError(f"the model {self._model.name} failed: {type(error).__name__}; see the log")

    async def _answer(self, asked: Asked) -> Answer:
        async with asked.until_cancelled():
            return await self._answer_whole(asked)

    async def _answer_whole(self, asked: Asked) -> Answer:
        watched = self._cameras[asked.camera]
        queue_seconds = time.monotonic() - asked.asked_monotonic_seconds
        put, evidence, is_then = await self._recall(asked)
        is_current = is_then or watched.state.status == "live" or not watched.live
        steps = self._model.answer(
            evidence, put, camera=watched.name, max_new_tokens=ANSWER_TOKENS, is_current=is_current
        )
        text = foreword(evidence) if is_then else self._staleness(watched, evidence, is_current=is_current)
        text += strangeness(self._model, watched.settings.kind)
        asked.say(text)
        first_token_seconds = 0.0
        async with aclosing(each_piece(steps, device=self._device, priority=Priority.ANSWER)) as pieces:
            async for piece in pieces:
                if piece.is_token and not first_token_seconds:
                    first_token_seconds = time.monotonic() - asked.asked_monotonic_seconds
                text += piece.text
                asked.say(piece.text)
        fill = self._memory.fill(asked.camera)
        total_seconds = time.monotonic() - asked.asked_monotonic_seconds
        return Answer(
            camera=watched.name,
            question=asked.question,
            answer=text.strip() or "(the model gave no answer)",
            asked_at_seconds=asked.asked_at_seconds,
            frame_age_seconds=evidence.frame_age_seconds or 0.0,
            evidence=evidence.slots,
            memory={
                "frames_seen": watched.num_seen,
                "frames_encoded": self._num_encoded[asked.camera],
                "ring_slots": fill.ring_slots,
                "long_term_slots": fill.long_term_slots,
                "nbytes": self._memory.nbytes,
            },
            latency=Latency(queue_seconds, first_token_seconds or total_seconds, total_seconds),
            model=self._model.name,
            usage=self._model.usage if isinstance(self._model, Remote) else None,
        )

    async def _recall(self, asked: Asked) -> tuple[str, Evidence, bool]:
        """The question to put, what it is answered from, and whether that is of an earlier time.

        Raises: QuestionError where the archive has nothing of that time.
        """
        frozen = await self._device.run(Priority.FREEZE, lambda: self._freeze(asked))
        if isinstance(frozen, Evidence):
            return asked.question, frozen, False
        assert self._archive is not None
        put, span = frozen
        name = self._cameras[asked.camera].name
        try:
            archived = await recall_archived(self._model, self._device, self._archive, name, put, span)
        except ArchiveError as error:
            raise QuestionError(str(error)) from error
        return put, archived.evidence, True

    def _freeze(self, asked: Asked) -> Evidence | tuple[str, Span]:
        """On the device thread: what memory has, or what to ask the archive."""
        watched = self._cameras[asked.camera]
        now_seconds = watched.now_seconds()
        reach = self._memory.reach(asked.camera, now_seconds=now_seconds)
        put, span = self._put(asked, watched, reach)
        if self._archive is not None and span is not None:
            return put, span
        max_slots = self._model.max_slots(asked.question, camera=watched.name, reach=reach)
        return self._memory.recall(asked.camera, now_seconds=now_seconds, max_slots=max_slots)

    def _put(self, asked: Asked, watched: Camera, reach: Reach) -> tuple[str, Span | None]:
        """The question to put, and the span of the archive that it is about; None where memory answers."""
        if asked.span is not None or self._archive is None or not watched.live:
            return asked.question, asked.span
        found = find_span(asked.question, now_seconds=reach.now_seconds)
        if found is None or not _is_for_archive(found.span, reach):
            return asked.question, None
        return found

    def _staleness(self, camera: Camera, evidence: Evidence, *, is_current: bool) -> str:
        age_seconds = evidence.frame_age_seconds or 0.0
        if age_seconds > STALE_SECONDS or not is_current:
            return f"(The newest picture is {age_seconds:.0f} s old, {_state(camera)}: this is not now.) "
        return ""


def _is_for_archive(span: Span, reach: Reach) -> bool:
    """A moment that is over, which memory has merged; or a span that begins before all that memory has.

    What goes on until now is memory's own, and so is what it has whole.
    """
    is_over = span.until_seconds < reach.now_seconds - OVER_SECONDS
    return is_over and (math.isinf(span.since_seconds) or span.since_seconds < reach.since_seconds)


def _state(camera: Camera) -> str:
    error = camera.state.error
    return f"{camera.state.status}: {error}" if error else camera.state.status
