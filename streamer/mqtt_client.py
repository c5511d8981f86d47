"""A question to an agent through an MQTT broker: what `ask --mqtt` does. It speaks 3.1.1, which every broker knows."""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from aiomqtt import Client, MqttError, ProtocolVersion, TLSParameters
from aiomqtt.exceptions import MqttConnectError

from streamer.cancellation import heed_cancellation
from streamer.client import AGENT_SECONDS
from streamer.errors import QuestionError
from streamer.mqtt_topics import Topics, partial
from streamer.times import Span

DEFAULT_PREFIX, PORT, TLS_PORT = "longwatch", 1883, 8883
AVAILABLE_SECONDS, REPLY_SECONDS, PAUSE_SECONDS = 3.0, 5.0, 0.5


@dataclass(frozen=True)
class BrokerAddress:
    """mqtt://[user:password@]host[:port][/prefix], or mqtts:// with TLS."""

    host: str
    port: int
    prefix: str
    has_tls: bool
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> BrokerAddress:
        """Raises: ValueError, which does not say the password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError("expected like mqtt://HOST:1883, with a port up to 65535") from error
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("expected like mqtt://HOST:1883 or mqtts://USER:PASSWORD@HOST:8883/PREFIX")
        has_tls = parts.scheme == "mqtts"
        user, password = (None if text is None else unquote(text) for text in (parts.username, parts.password))
        prefix = unquote(parts.path).strip("/") or DEFAULT_PREFIX
        if any(character in prefix for character in "+#$\x00"):
            raise ValueError("expected a topic prefix without +, # and $")
        return cls(parts.hostname, port or (TLS_PORT if has_tls else PORT), prefix, has_tls, user, password)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


async def ask_broker(
    address: BrokerAddress,
    camera: str,
    question: str,
    span: Span | None,
    *,
    say: Callable[[str], None],
    ca_file: Path | None = None,
) -> dict[str, Any]:
    """The answer as the agent's JSON has it, its pieces said as they come.

    Where the broker is lost meanwhile the question is put again under the same id; the agent answers it once.
    Raises: QuestionError, in the agent's words, or with what is wrong on the way.
    """
    topics = Topics(address.prefix)
    if topics.asked_camera(topics.ask(camera)) is None:
        raise QuestionError(f"{camera!r} is no camera's name; a name is made of a-z, 0-9, _ and -")
    asking = _Asking(address, camera, question, span, say, ca_file)
    try:
        async with asyncio.timeout(AGENT_SECONDS):
            return await asking.until_answered()
    except TimeoutError as error:
        raise QuestionError(f"the agent gave no answer within {AGENT_SECONDS:.0f} s; ask again") from error


class _Asking:
    def __init__(
        self,
        address: BrokerAddress,
        camera: str,
        question: str,
        span: Span | None,
        say: Callable[[str], None],
        ca_file: Path | None,
    ) -> None:
        self._address, self._camera, self._say, self._ca_file = address, camera, say, ca_file
        self._topics = Topics(address.prefix)
        self._id = uuid.uuid4().hex
        self._reply_topic = f"reply/{address.prefix}/{self._id}"
        self._request = {
            "id": self._id,
            "question": question,
            "response_topic": self._reply_topic,
            "stream": True,
            **_times(span),
        }
        self._was_connected = False
        self._num_said = 0

    async def until_answered(self) -> dict[str, Any]:
        while True:
            try:
                async with self._client() as client:
                    return await self._answer(client)
            except MqttConnectError as error:
                raise QuestionError(f"the broker at {self._address} refuses user or password ({error})") from error
            except MqttError as error:
                if not self._was_connected:
                    raise QuestionError(f"the broker at {self._address} cannot be reached: {error}") from error
                await asyncio.sleep(PAUSE_SECONDS)

    def _client(self) -> Client:
        address = self._address
        ca_file = None if self._ca_file is None else str(self._ca_file)
        return Client(
            address.host,
            address.port,
            username=address.user,
            password=address.password,
            protocol=ProtocolVersion.V311,
            timeout=REPLY_SECONDS,
            tls_params=TLSParameters(ca_certs=ca_file) if address.has_tls else None,
        )

    async def _answer(self, client: Client) -> dict[str, Any]:
        for topic in (self._topics.available, self._reply_topic, partial(self._reply_topic)):
            await client.subscribe(topic, qos=1)
        heed_cancellation()
        self._was_connected, is_asked = True, False
        deadline = asyncio.get_running_loop().time() + AVAILABLE_SECONDS
        try:
            async with asyncio.timeout_at(deadline) as until_available:
                async for message in client.messages:
                    topic = str(message.topic)
                    if topic == self._topics.available and not is_asked:
                        self._check(bytes(message.payload))
                        until_available.reschedule(None)
                        await self._ask(client)
                        heed_cancellation()
                        is_asked = True
                    elif topic == partial(self._reply_topic):
                        self._say_piece(_object(bytes(message.payload)))
                    elif topic == self._reply_topic and (told := _object(bytes(message.payload))):
                        return _answered(told)
        except TimeoutError as error:
            if is_asked:
                raise
            raise QuestionError(
                f"no agent tells the broker at {self._address} that it is there; is mqtt: in its settings, with "
                f"topic_prefix {self._address.prefix}?"
            ) from error
        raise MqttError("the broker ended the connection")

    def _check(self, available: bytes) -> None:
        if available != b"online":
            state = available.decode(errors="replace")[:20]
            raise QuestionError(f"the agent at {self._address} does not run now ({state})")

    async def _ask(self, client: Client) -> None:
        request = self._request | {"asked_at": round(time.time(), 3)}
        await client.publish(self._topics.ask(self._camera), json.dumps(request).encode(), qos=1)

    def _say_piece(self, told: dict[str, Any]) -> None:
        if told.get("number") == self._num_said and isinstance(told.get("piece"), str):
            self._say(told["piece"])
            self._num_said += 1


def _times(span: Span | None) -> dict[str, float]:
    if span is None:
        return {}
    if math.isinf(span.since_seconds):
        return {"at": span.until_seconds}
    return {"since": span.since_seconds, "until": span.until_seconds}


def _object(payload: bytes) -> dict[str, Any]:
    """{} for what is none."""
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _answered(told: dict[str, Any]) -> dict[str, Any]:
    """Raises: QuestionError, the agent's."""
    if "error" in told:
        raise QuestionError(str(told["error"]))
    return told
