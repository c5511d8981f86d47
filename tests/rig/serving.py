"""Servers of remote models: `transformers serve`, and a stand-in for faults that no real server shows on demand."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rig.servers import free_port

START_SECONDS = 90.0


@dataclass
class ServingProcess:
    """A running `transformers serve`, which loads whatever folder a request names as its model."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def transformers_serve(folder: Path, *, port: int | None = None) -> Iterator[ServingProcess]:
    """Started on loopback and ended by its process id; its cache of hub models is an empty one in `folder`."""
    port = port or free_port()
    cache = folder / "hub"
    cache.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("transformers")), "serve", "--host", "127.0.0.1", "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log, env=environment)
    server = ServingProcess(port, process)
    try:
        _until_healthy(server, folder / "serve.log")
        yield server
    finally:
        server.stop()


def _until_healthy(server: ServingProcess, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health", timeout=2).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"transformers serve did not start: {log.read_text()[-2000:]}")


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def pictures(self) -> list[str]:
        """The data: URLs of the pictures in it, in order."""
        content = self.body["messages"][-1]["content"]
        return [] if isinstance(content, str) else [p["image_url"]["url"] for p in content if p["type"] == "image_url"]

    @property
    def text(self) -> str:
        """All words of the last message, a picture as [picture]."""
        content = self.body["messages"][-1]["content"]
        if isinstance(content, str):
            return content
        return "".join(part["text"] if part["type"] == "text" else "[picture]" for part in content)


Reply = Callable[[asyncio.StreamWriter, Request], Awaitable[None]]


@dataclass
class StandIn:
    """Gives the replies in turn, the last one for ever; `models` is what it lists."""

    port: int
    replies: list[Reply]
    models: Sequence[str] = ("tiny",)
    requests: list[Request] = field(default_factory=list)
    num_broken_off: int = 0
    """Streams whose reader went away."""
    broken_off: asyncio.Event = field(default_factory=asyncio.Event)

    def address(self, *, user_info: str = "") -> str:
        return f"openai:http://{user_info}{'@' if user_info else ''}127.0.0.1:{self.port}/v1#tiny"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            if request.path.startswith("/v1/models"):
                listed = [{"id": model, "object": "model", "created": 0, "owned_by": "us"} for model in self.models]
                await _send(writer, 200, json.dumps({"object": "list", "data": listed}))
                return
            self.requests.append(request)
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            answering = asyncio.ensure_future(reply(writer, request))
            leaving = asyncio.ensure_future(reader.read())
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.num_broken_off += 1
                self.broken_off.set()
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.num_broken_off += 1
            self.broken_off.set()
        finally:
            writer.close()


@asynccontextmanager
async def stand_in(*replies: Reply, models: Sequence[str] = ("tiny",), port: int = 0) -> AsyncIterator[StandIn]:
    server = StandIn(port, list(replies), models)
    async with await asyncio.start_server(server.serve, "127.0.0.1", port) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


def says(
    *pieces: str | dict[str, Any],
    usage: tuple[int, int] | None = (100, 5),
    finish: str | None = "stop",
    pause_seconds: float = 0.0,
    first_pause_seconds: float = 0.0,
) -> Reply:
    """A stream of words, of whole deltas, or of an error; without `finish` it breaks off as if the server had died."""

    async def reply(writer: asyncio.StreamWriter, _request: Request) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        await _event(writer, {"role": "assistant"})
        await asyncio.sleep(first_pause_seconds)
        for piece in pieces:
            if isinstance(piece, dict) and "error" in piece:
                writer.write(f"data: {json.dumps(piece)}\n\n".encode())
                return
            await _event(writer, {"content": piece} if isinstance(piece, str) else piece)
            await asyncio.sleep(pause_seconds)
        if finish is None:
            return
        await _event(writer, {}, finish=finish)
        if usage is not None:
            counted = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
            writer.write(f"data: {json.dumps({**_CHUNK, 'choices': [], 'usage': counted})}\n\n".encode())
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()

    return reply


def says_after(event: asyncio.Event, *pieces: str) -> Reply:
    """Words once the test allows them."""

    async def reply(writer: asyncio.StreamWriter, request: Request) -> None:
        await event.wait()
        await says(*pieces)(writer, request)

    return reply


def refuses(status: int, body: str | dict[str, Any], *, headers: dict[str, str] | None = None) -> Reply:
    async def reply(writer: asyncio.StreamWriter, _request: Request) -> None:
        await _send(writer, status, body if isinstance(body, str) else json.dumps(body), headers or {})

    return reply


def refuses_more_pictures_than(most: int, status: int, body: dict[str, Any]) -> Reply:
    async def reply(writer: asyncio.StreamWriter, request: Request) -> None:
        chosen = refuses(status, body) if len(request.pictures) > most else says("It", " fits.")
        await chosen(writer, request)

    return reply


async def hangs_up(writer: asyncio.StreamWriter, _request: Request) -> None:
    """Closes without a word."""
    writer.close()


async def hangs(_writer: asyncio.StreamWriter, _request: Request) -> None:
    """Not even a status."""
    await asyncio.sleep(600)


async def chatters(writer: asyncio.StreamWriter, _request: Request) -> None:
    """Streams without end."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    while True:
        await _event(writer, {"content": "word "})
        await asyncio.sleep(0.02)


_CHUNK: dict[str, Any] = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "tiny"}


async def _event(writer: asyncio.StreamWriter, delta: dict[str, Any], *, finish: str | None = None) -> None:
    chunk = {**_CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    writer.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(first.split(" ")[1], headers, json.loads(body) if body else {})


async def _send(writer: asyncio.StreamWriter, status: int, body: str, headers: dict[str, str] | None = None) -> None:
    encoded = body.encode()
    kind = "application/json" if body.startswith("{") else "text/plain"
    lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += [f"content-type: {kind}", f"content-length: {len(encoded)}", "connection: close"]
    writer.write("\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""]).encode() + encoded)
    await writer.drain()
