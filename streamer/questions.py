"""Questions about a camera: a bounded queue, a frozen view of memory, a streamed answer; it knows no terminal."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from llm.base import LanguageModel, Remote
from llm.errors import LanguageModelError
from llm.prompt import STALE_SECONDS
from memory import ArchiveError, Evidence, Memory, Reach
from streamer.answer import ANSWER_TOKENS, NO_ANSWER, Answer, Latency, as_put, tell
from streamer.archived import foreword, recall_archived, strangeness
from streamer.asked import WITHDRAWN, Asked
from streamer.capture import Camera
from streamer.device import DeviceThread, Priority
from streamer.errors import BusyError, NotReadyError, QuestionError
from streamer.time_phrases import find_span
from streamer.times import Span

log = logging.getLogger(__name__)

MAX_WAITING = 8
"""Questions that wait for their turn; one more is refused."""
OVER_SECONDS = 60.0
"""What is longer ago is asked of the archive, where there is one."""
_STOPPED = "the agent stopped before the answer was whole"


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

    def ask(
        self, camera: int, question: str, *, span: Span | None = None, max_new_tokens: int = ANSWER_TOKENS
    ) -> Asked:
        """Put a question into the queue; it is answered from what memory holds when its turn comes, or the archive of
        `span`.

        Raises: QuestionError (empty, too long, or the agent stops), NotReadyError (no frame yet), BusyError
            (`MAX_WAITING` wait already).
        """
        if self._is_closed:
            raise QuestionError(_STOPPED)
        question = as_put(question)
        watched = self._cameras[camera]
        if not self._num_encoded[camera]:
            raise NotReadyError(
                f"camera {watched.name} has given no frame yet ({_state(watched)}); ask again when it is live"
            )
        for withdrawn in [one for one in self._waiting if one.is_cancelled]:
            self._waiting.remove(withdrawn)
            withdrawn.end(QuestionError(WITHDRAWN))
        if len(self._waiting) >= MAX_WAITING:
            raise BusyError(f"{MAX_WAITING} questions wait already; ask again in a moment")
        if span is not None and self._archive is None:
            raise QuestionError("the agent keeps no archive; it needs archive: in its settings to be asked about then")
        asked = Asked(camera, question, watched.now_seconds(), span, max_new_tokens)
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
            evidence, put, camera=watched.name, max_new_tokens=asked.max_new_tokens, is_current=is_current
        )
        text = foreword(evidence) if is_then else self._staleness(watched, evidence, is_current=is_current)
        text += strangeness(self._model, watched.settings.kind)
        asked.say(text)
        told, first_token_seconds = await tell(
            steps, device=self._device, asked_monotonic_seconds=asked.asked_monotonic_seconds, say=asked.say
        )
        fill = self._memory.fill(asked.camera)
        total_seconds = time.monotonic() - asked.asked_monotonic_seconds
        return Answer(
            camera=watched.name,
            question=asked.question,
            answer=(text + told).strip() or NO_ANSWER,
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
            latency=Latency(queue_seconds, first_token_seconds, total_seconds),
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
