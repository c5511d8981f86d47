"""A running agent can be asked from another terminal: questions over a Unix socket, one per connection.

A client sends one line of JSON, {"camera", "question"} and, where it is about an earlier time, "since" and "until" in
seconds. It gets {"piece"} lines as the answer comes, and at last {"answer"} or {"error"}.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamer.asked import Asked
from streamer.client import SOCKET_NAME
from streamer.errors import LongwatchError, QuestionError
from streamer.times import Span

log = logging.getLogger(__name__)

MAX_CLIENTS = 16
"""At once; one more is told that the agent is busy."""
REQUEST_BYTES = 8 * 1024
REQUEST_SECONDS, READER_SECONDS = 5.0, 5.0
"""How long a client may take to ask, and to take a line; a slower one is left."""

LOOK_SECONDS = 5.0
"""How often it is looked whether the socket is still there, and tried again where it cannot be made."""

Ask = Callable[[str, str, Span | None], Asked]
"""(camera, question, span) -> the question on its way. Raises: QuestionError."""


async def serve(folder: Path, ask: Ask, *, look_seconds: float = LOOK_SECONDS) -> None:
    """For ever, at `folder`/agent.sock, which only its owner may use.

    Where that cannot be, it is told once and tried again; a socket that was deleted is made anew.
    """
    path, told = folder / SOCKET_NAME, ""
    while True:
        try:
            await _serve_until_gone(path, ask, look_seconds)
        except OSError as error:
            if told != (told := error.strerror or str(error)):
                log.warning("this agent cannot be asked from another terminal: %s: %s", path, told)
            await asyncio.sleep(look_seconds)
        else:
            told = ""
            log.info("the socket %s is gone; it is made anew", path)


async def _serve_until_gone(path: Path, ask: Ask, look_seconds: float) -> None:
    """Raises: OSError where the socket cannot be made."""
    clients: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients.add(task)
        try:
            await _meet(reader, writer, ask, is_busy=len(clients) > MAX_CLIENTS)
        finally:
            clients.discard(task)

    if await _answers(path):
        raise OSError("another agent is asked there")
    await asyncio.to_thread(path.unlink, missing_ok=True)
    server = await asyncio.start_unix_server(meet, path, limit=REQUEST_BYTES)
    made = None
    try:
        made = await asyncio.to_thread(_made_private, path)
        while await asyncio.to_thread(_inode, path) == made:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(look_seconds)
    finally:
        server.close()
        for client in clients:
            client.cancel()
        _remove(path, made)


def _made_private(path: Path) -> int:
    """Its inode. Raises: OSError where it is gone already."""
    path.chmod(0o600)
    return path.stat().st_ino


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _remove(path: Path, made: int | None) -> None:
    """Another's socket stays."""
    if made is not None and _inode(path) == made:
        path.unlink(missing_ok=True)


async def _answers(path: Path) -> bool:
    """True where an agent listens; a socket that was left behind refuses."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


async def _meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask, *, is_busy: bool) -> None:
    try:
        if is_busy:
            raise QuestionError(f"{MAX_CLIENTS} others are asking already; ask again in a moment")
        await _answer(writer, ask(*await _requested(reader)))
    except LongwatchError as error:
        await _send_quietly(writer, {"error": str(error)})
    except (ConnectionError, TimeoutError):
        log.debug("a client went away, or took too long")
    finally:
        writer.close()


async def _requested(reader: asyncio.StreamReader) -> tuple[str, str, Span | None]:
    """Raises: QuestionError where no such line comes in time."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            return _request(await reader.readline())
    except (ValueError, TimeoutError) as error:
        raise QuestionError("expected one line of JSON with camera and question") from error


async def _answer(writer: asyncio.StreamWriter, asked: Asked) -> None:
    """Raises: QuestionError; ConnectionError or TimeoutError where the client is gone or too slow."""
    try:
        async for piece in asked:
            await _send(writer, {"piece": piece})
        answer = await asked.answer()
    except (ConnectionError, TimeoutError, asyncio.CancelledError):
        asked.cancel()
        raise
    await _send(writer, {"answer": answer.to_json()})


async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
    async with asyncio.timeout(READER_SECONDS):
        await writer.drain()


async def _send_quietly(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    try:
        await _send(writer, message)
    except (ConnectionError, TimeoutError):
        log.debug("a client went away before it was told")


def _request(line: bytes) -> tuple[str, str, Span | None]:
    """Raises: ValueError."""
    asked = json.loads(line)
    if not isinstance(asked, dict):
        raise ValueError("expected an object")
    camera, question = asked.get("camera"), asked.get("question")
    if not isinstance(camera, str) or not isinstance(question, str):
        raise ValueError("expected a camera and a question")
    since, until = asked.get("since"), asked.get("until")
    if until is None:
        return camera, question, None
    return camera, question, Span(float(until), -math.inf if since is None else float(since))
