"""The steps of an answer, wherever they are taken: on the device thread, or on the event loop while a server writes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from llm.base import Piece, Steps
from streamer.device import DeviceThread, Priority


async def each_piece(
    steps: Steps,
    *,
    device: DeviceThread,
    priority: Priority,
    before: Callable[[], Awaitable[None]] | None = None,
) -> AsyncGenerator[Piece, None]:
    """The pieces in order. Iterate within `aclosing`: leaving early closes what a remote model has open.

    before  awaited before each step on the device; what waits for the network takes nothing from it
    """
    if isinstance(steps, AsyncGenerator):
        async with aclosing(steps):
            async for piece in steps:
                yield piece
        return
    if isinstance(steps, AsyncIterator):
        async for piece in steps:
            yield piece
        return
    while True:
        if before is not None:
            await before()
        piece_or_none = await device.run(priority, lambda: next(steps, None))
        if piece_or_none is None:
            return
        yield piece_or_none
