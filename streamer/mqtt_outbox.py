"""What is to be sent to a broker, in which order, and what becomes of it when a connection breaks. It knows no client.

What is retained is told anew at each connection. What else is to be sent waits while there is none: the newest
`MOST_WAITING` messages are kept, those that were lost are counted.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field

MOST_WAITING = 256
MOST_TRIES, MOST_RETAINED_TRIES = 3, 5
"""So often a message may be on its way as the connection breaks; then it is lost. What is retained, in a row."""


@dataclass(eq=False)
class Outgoing:
    """One message; `is_state` where it is told again at each connection."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    correlation: bytes | None = None
    is_state: bool = False
    num_tries: int = 0


@dataclass(eq=False)
class Outbox:
    """Filled from the event loop at any time; emptied by one writer, which says of each message what became of it."""

    is_open: bool = False
    num_dropped: int = 0
    _waiting: deque[Outgoing] = field(default_factory=deque)
    _retained: dict[str, bytes] = field(default_factory=dict)
    _untold: dict[str, None] = field(default_factory=dict)
    """Topics of what is retained that this connection has not been told yet, in order."""
    _is_beginning: bool = True
    _num_failed: dict[str, int] = field(default_factory=dict)
    _too_long: dict[str, int] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, topic: str, payload: bytes, *, correlation: bytes | None = None) -> None:
        """Once, as soon as there is a connection."""
        self._put(Outgoing(topic, payload, correlation=correlation))

    def publish_now(self, topic: str, payload: bytes, *, correlation: bytes | None = None) -> None:
        """Without asking whether it arrives; lost where there is no connection, or much waits already."""
        if self.is_open and len(self._waiting) < MOST_WAITING // 2:
            self._put(Outgoing(topic, payload, qos=0, correlation=correlation))

    def retain(self, topic: str, payload: bytes) -> None:
        """At this connection and each that follows; the newest for a topic counts. Nothing where it is told already, or
        is more than half as long as one that the broker did not take.
        """
        if self._retained.get(topic) != payload and len(payload) < self._too_long.get(topic, math.inf):
            self._retained[topic] = payload
            self._untold[topic] = None
            self._wake.set()

    def forget(self, topic: str) -> None:
        """Takes from the broker what it has retained."""
        self._retained.pop(topic, None)
        self._untold.pop(topic, None)
        self._put(Outgoing(topic, b"", retain=True))

    def tell_again(self, *, first: str | None = None) -> None:
        """All that is retained, before all that waits: at a new connection, or to who has just come."""
        self._untold = dict.fromkeys(self._retained if first is None else (first, *self._retained))
        self._is_beginning = True
        self._wake.set()

    async def next(self) -> Outgoing:
        """What is to be sent now. It is the writer's until `sent` or `failed`."""
        while True:
            self._is_beginning &= bool(self._untold)
            if self._waiting and not self._is_beginning:
                return self._waiting.popleft()
            if self._untold:
                topic = next(iter(self._untold))
                return Outgoing(topic, self._retained[topic], retain=True, is_state=True)
            self._wake.clear()
            await self._wake.wait()

    def sent(self, message: Outgoing) -> None:
        if message.is_state:
            self._num_failed.pop(message.topic, None)
            if self._retained.get(message.topic) == message.payload:
                self._untold.pop(message.topic, None)

    def failed(self, message: Outgoing) -> bool:
        """The connection broke over it, perhaps; False where it is not tried again."""
        message.num_tries += 1
        if message.is_state:
            return self._retained.get(message.topic) != message.payload or self._put_last(message)
        if message.qos and message.num_tries < MOST_TRIES:
            self._waiting.appendleft(message)
            return True
        self.num_dropped += 1
        return False

    def _put(self, message: Outgoing) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.num_dropped += 1
        self._waiting.append(message)
        self._wake.set()

    def _put_last(self, message: Outgoing) -> bool:
        """What breaks a connection is told last at the next; again and again, and it is set aside."""
        num_failed = self._num_failed.pop(message.topic, 0) + 1
        del self._retained[message.topic]
        if num_failed < MOST_RETAINED_TRIES:
            self._num_failed[message.topic] = num_failed
            self._retained[message.topic] = message.payload
            return True
        self.num_dropped += 1
        self._too_long[message.topic] = len(message.payload) // 2
        return False
