"""A question on its way to its answer, and who waits for it; it knows no camera and no model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from streamer.answer import ANSWER_TOKENS, Answer
from streamer.errors import QuestionError
from streamer.times import Span

MAX_PIECES_WAITING = 128
"""Pieces that wait for a reader; a reader that lets more pile up is dropped, the answer is finished without it."""
WITHDRAWN = "the question was withdrawn"


@dataclass(eq=False)
class Asked:
    """A question on its way: iterate over it for the pieces of the answer, then read `answer`; or `cancel()` it."""

    camera: int
    question: str
    asked_at_seconds: float
    span: Span | None = None
    """Of the archive, where the one who asks says when; else the question's own words may."""
    max_new_tokens: int = ANSWER_TOKENS
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
            raise QuestionError(WITHDRAWN)
        try:
            async with asyncio.timeout(None) as self._until:
                yield
        except TimeoutError as error:
            if not self.is_cancelled:
                raise
            raise QuestionError(WITHDRAWN) from error
        finally:
            self._until = None
        if self.is_cancelled:
            raise QuestionError(WITHDRAWN)

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
