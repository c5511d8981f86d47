"""The line to a server: whether it answers, what models it has, and one streamed completion; it knows no evidence.

Importing this takes most of a second, for the client library: import it where a remote model is asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI

from llm.endpoint import Endpoint
from llm.remote_faults import Kind, RemoteFault, fault_of_status

log = logging.getLogger(__name__)

_DOWN_STATUS = (502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """How long one thing is waited for, in seconds.

    total   from the question to the first word, all tries together
    lost    the same, of a server that is known to be away
    answer  from the first word to the last
    """

    connect: float = 5.0
    list_models: float = 10.0
    first_token: float = 60.0
    between_tokens: float = 15.0
    total: float = 60.0
    lost: float = 10.0
    answer: float = 120.0


class Pauses(Protocol):
    """What `streamer.backoff.Backoff` is: growing pauses with jitter."""

    def next_seconds(self) -> float: ...


@dataclass(frozen=True)
class Delta:
    """What one event of a stream brought; the token counts are None until the server tells them."""

    text: str = ""
    is_thought: bool = False
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


class Connection:
    """`is_up` is None until the first try; `num_ups` counts how often the server came (back)."""

    def __init__(self, endpoint: Endpoint, *, patience: Patience, pauses: Callable[[], Pauses]) -> None:
        self.endpoint = endpoint
        self.is_up: bool | None = None
        self.num_ups = 0
        self._patience = patience
        self._pauses = pauses
        self._lost = asyncio.Event()
        self._state = ""
        self._open: AsyncOpenAI | None = None

    async def keep(self) -> None:
        """For ever: asks a server that is down again and again, and waits while it is up."""
        try:
            while True:
                pauses = self._pauses()
                while not await self._is_there():  # noqa: ASYNC110 - no event tells that a server came
                    await asyncio.sleep(pauses.next_seconds())
                self._lost.clear()
                await self._lost.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        if self._open is not None:
            client, self._open = self._open, None
            await client.close()

    async def models(self) -> list[str]:
        """What the server says that it has. Raises: RemoteFault."""
        try:
            async with asyncio.timeout(self._patience.list_models):
                page = await self._client.models.list()
        except TimeoutError as error:
            raise self._lost_to("unreachable", f"(no reply within {self._patience.list_models:.0f} s)") from error
        except APIError as error:
            raise self._fault(error) from error
        return [self.endpoint.redact(str(model.id)) for model in page.data or []]

    async def stream(self, body: dict[str, Any], *, first_by: float) -> AsyncGenerator[Delta, None]:
        """The events of one chat completion; `first_by` is the loop's time at which a first word must have come.

        Leaving closes the connection, so that the server stops. Raises: RemoteFault.
        """
        loop, patience = asyncio.get_running_loop(), self._patience
        first_by = min(first_by, loop.time() + patience.first_token)
        began = loop.time()
        try:
            async with asyncio.timeout_at(first_by):
                events = await self._client.chat.completions.create(**body, stream=True)
        except TimeoutError as error:
            raise RemoteFault("slow", f"(no word within {loop.time() - began:.0f} s)") from error
        except APIError as error:
            raise self._fault(error) from error
        self._mark(True, "")
        has_begun = has_ended = False
        until, why = first_by, f"(no word within {first_by - began:.0f} s)"
        try:
            while True:
                try:
                    async with asyncio.timeout_at(until):
                        event = await anext(events, None)
                except TimeoutError as error:
                    kind: Kind = "broken_off" if has_begun else "slow"
                    raise RemoteFault(kind, why) from error
                except APIError as error:
                    raise self._fault(error, is_open=True, has_begun=has_begun) from error
                except ValueError as error:
                    raise RemoteFault("garbled", f"(it sent no JSON: {type(error).__name__})") from error
                if event is None:
                    break
                delta = _delta(event)
                if not has_begun and delta.text:
                    has_begun, last_by = True, loop.time() + patience.answer
                if has_begun:
                    until, why = loop.time() + patience.between_tokens, f"(no word for {patience.between_tokens:.0f} s)"
                    if until > last_by:
                        until, why = last_by, f"(not at its end after {patience.answer:.0f} s)"
                has_ended |= delta.finish_reason is not None
                yield delta
        finally:
            await events.close()
        if not has_ended:
            raise RemoteFault("broken_off" if has_begun else "garbled", "(the stream ended too early)")

    @property
    def _client(self) -> AsyncOpenAI:
        """Opened where it is first needed, within the event loop that uses it."""
        if self._open is None:
            self._open = AsyncOpenAI(
                base_url=self.endpoint.base_url,
                api_key=self.endpoint.key or "none",
                default_query=self.endpoint.query,
                max_retries=0,
                timeout=httpx2.Timeout(None, connect=self._patience.connect, pool=self._patience.connect),
            )
            self._open.organization = self._open.project = None  # of the environment, and meant for another server
        return self._open

    async def _is_there(self) -> bool:
        try:
            listed = await self.models()
        except RemoteFault as fault:
            if fault.kind == "unreachable" or any(str(fault).startswith(f"({status}") for status in _DOWN_STATUS):
                self._mark(False, f"cannot be reached {fault}; tried again for ever")
                return False
            if fault.kind == "key":
                self._mark(False, f"does not accept the key {fault}; tried again for ever")
                return False
            self._mark(True, "")  # many servers list nothing, and answer all the same
            return True
        self._mark(True, "")
        if listed and self.endpoint.model not in listed:
            log.info("model %s: the server lists other models: %s", self.endpoint, ", ".join(listed[:20]))
        return True

    def _mark(self, is_up: bool, why: str) -> None:
        """One line per change of state."""
        if is_up != self.is_up:
            self.num_ups += is_up
            log.info("model %s: %s", self.endpoint, why if why else "the server answers")
        self.is_up = is_up
        if not is_up:
            self._lost.set()

    def _lost_to(self, kind: Kind, message: str) -> RemoteFault:
        self._mark(False, f"cannot be reached {message}; tried again for ever")
        return RemoteFault(kind, message)

    def _fault(self, error: APIError, *, is_open: bool = False, has_begun: bool = False) -> RemoteFault:
        if isinstance(error, APIStatusError):
            return fault_of_status(error.status_code, self._said(error), error.response.headers)
        if isinstance(error, APIConnectionError):
            cause = self.endpoint.redact(str(error.__cause__ or error)) or type(error.__cause__).__name__
            return self._lost_to("broken_off" if has_begun else "failed" if is_open else "unreachable", f"({cause})")
        if has_begun:
            return RemoteFault("broken_off", f"({self._said(error)})")
        return fault_of_status(500, self._said(error), {})

    def _said(self, error: APIError) -> str:
        """The server's own sentence, out of what the library makes of it, with its word for the error."""
        code = error.code or error.type or ""
        code = f" [{code}]" if code and not code.isdecimal() else ""
        body = error.body
        for key in ("error", "message", "detail"):
            if isinstance(body, dict) and body.get(key):
                body = body[key]
        return self.endpoint.redact(str(body if body else error.message) + code)


def _delta(event: Any) -> Delta:
    """Of an event of whatever server: any part may be missing, and thoughts have two names."""
    choice = event.choices[0] if event.choices else None
    said = getattr(choice, "delta", None)
    text = getattr(said, "content", None) or ""
    thought = getattr(said, "reasoning_content", None) or getattr(said, "reasoning", None) or ""
    usage = getattr(event, "usage", None)
    return Delta(
        text="".join(char for char in text or str(thought) if char.isprintable() or char in "\n\t"),
        is_thought=bool(thought) and not text,
        finish_reason=getattr(choice, "finish_reason", None),
        prompt_tokens=getattr(usage, "prompt_tokens", None),
        answer_tokens=getattr(usage, "completion_tokens", None),
    )
