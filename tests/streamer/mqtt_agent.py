"""What tests of MQTT share: an agent whose answers come at once or when they are let, and a program that listens."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiomqtt

from memory import EvidenceSlot
from streamer.answer import Answer, Latency, as_put
from streamer.asked import Asked
from streamer.errors import BusyError, QuestionError
from streamer.mqtt import Mqtt
from streamer.settings import MqttSettings
from tests.rig.broker import Broker

PICTURE = b"\xff\xd8 a picture \xff\xd9"


@dataclass
class Answering:
    """Stands for the agent: answers each question in its own words; `busy` beyond `most` at once."""

    names: tuple[str, ...] = ("front", "yard")
    seconds: float = 0.0
    most: int = 8
    picture: bytes = PICTURE
    put: list[tuple[str, str]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    model_name: str = "none"
    memory: Any = field(default_factory=lambda: SimpleNamespace(nbytes=1))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cameras = [
            SimpleNamespace(name=name, state=SimpleNamespace(status="live"), settings=SimpleNamespace(rules={}))
            for name in self.names
        ]

    def ask_by_name(self, name: str, question: str, span: object, max_new_tokens: int) -> Asked:
        question = as_put(question)
        if len(self._tasks) >= self.most:
            raise BusyError(f"{self.most} questions wait already; ask again in a moment")
        asked = Asked(self.names.index(name), question, 1000.0, span, max_new_tokens)
        self.put.append((name, question))
        self.asked.append(asked)
        task = asyncio.get_running_loop().create_task(self._answer(name, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return asked

    async def _answer(self, name: str, asked: Asked) -> None:
        await asyncio.sleep(self.seconds)
        if "fail" in asked.question:
            asked.end(QuestionError("the model failed"))
            return
        words = [f"{name}: ", "you asked ", asked.question]
        for word in words:
            asked.say(word)
        slot = EvidenceSlot("ring", 990.0, 999.5, 18, "", 1, self.picture)
        asked.end(
            Answer(name, asked.question, "".join(words), 1000.0, 0.5, (slot,), {}, Latency(0.0, 0.0, 0.0), "none")
        )

    async def newest_picture(self, camera: int) -> bytes:
        return self.picture + self.names[camera].encode()

    def report(self, camera: int) -> Any:
        fill = SimpleNamespace(ring_slots=18, long_term_slots=40)
        zeros = dict.fromkeys(("num_seen", "num_encoded", "num_unchanged", "num_dropped", "num_reconnects"), 0)
        state = self.cameras[camera].state
        return SimpleNamespace(state=state, fps=2.0, frame_age_seconds=0.1, fill=fill, **zeros)


@asynccontextmanager
async def bridged(
    broker: Broker, agent: Answering, *, has_archive: bool = False, **settings: Any
) -> AsyncIterator[Mqtt]:
    """Runs it beside the block."""
    given = {"host": "127.0.0.1", "port": broker.port, **settings}
    mqtt = Mqtt(MqttSettings.model_validate(given), agent, has_archive=has_archive)
    task = asyncio.get_running_loop().create_task(mqtt.run())
    try:
        yield mqtt
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


class Listener:
    """Hears what is published, and publishes."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.heard: list[aiomqtt.Message] = []

    async def listen(self) -> None:
        async for message in self.client.messages:
            self.heard.append(message)

    def on(self, topic: str) -> list[bytes]:
        return [bytes(message.payload) for message in self.heard if str(message.topic) == topic]

    def objects(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.on(topic)]

    async def until(self, holds: Callable[[], object], *, seconds: float = 10.0) -> None:
        """Fails with what was heard where it does not hold in time."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():  # noqa: ASYNC110 - any message may make it true
                    await asyncio.sleep(0.01)
        except TimeoutError:
            heard = [(str(message.topic), bytes(message.payload)[:200]) for message in self.heard[-20:]]
            raise AssertionError(f"not in {seconds} s; heard: {heard}") from None

    async def one(self, topic: str, *, seconds: float = 10.0) -> dict[str, Any]:
        """The only object that comes on a topic."""
        await self.until(lambda: self.on(topic), seconds=seconds)
        (found,) = self.objects(topic)
        return found


@asynccontextmanager
async def listening(broker: Broker, *topics: str, **options: Any) -> AsyncIterator[Listener]:
    """Subscribed to `topics`, all of them where none is named."""
    async with aiomqtt.Client("127.0.0.1", broker.port, timeout=5, **options) as client:
        for topic in topics or ("#",):
            await client.subscribe(topic, qos=1)
        listener = Listener(client)
        task = asyncio.get_running_loop().create_task(listener.listen())
        try:
            yield listener
        finally:
            task.cancel()
            await asyncio.wait([task])
