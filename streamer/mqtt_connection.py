"""One connection to a broker that is never lost for good; what its messages mean is for others to know."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial

from aiomqtt import Client, Message, MqttCodeError, MqttError, ProtocolVersion, TLSParameters, Will
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from streamer.backoff import Backoff
from streamer.cancellation import heed_cancellation
from streamer.mqtt_outbox import Outbox
from streamer.mqtt_settings import MqttSettings

log = logging.getLogger(__name__)

MOST_INCOMING = 256
"""Messages that came and were not looked at; one more is lost."""
MOST_INCOMING_BYTES = 64 * 1024
"""Of what is longer so much is kept, which is enough to see that it is too long."""
PAUSES = partial(Backoff, first_seconds=0.5, cap_seconds=30.0)
STEADY_SECONDS = 10.0
"""A connection that has lasted so long was a good one: the next pause is the first one again."""
KEEPALIVE_SECONDS, REPLY_SECONDS, LEAVE_SECONDS = 30, 5.0, 2.0
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
NODELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
_NOT_ALLOWED, _NO_SUCH_PROTOCOL = 128, (1, 132)
_MQTT_LOG = logging.getLogger(f"{__name__}.client")
_MQTT_LOG.setLevel(logging.CRITICAL)  # what it has to say is told here, once


class _Incoming(asyncio.Queue[Message]):
    """Messages that came; of what is too long only the beginning is kept."""

    def put_nowait(self, item: Message) -> None:
        if len(item.payload) > MOST_INCOMING_BYTES:
            item.payload = bytes(item.payload[: MOST_INCOMING_BYTES + 1])
        super().put_nowait(item)


@dataclass(eq=False)
class Connection:
    """`run()` it for ever beside others; what is put into `outbox` is sent.

    on_message     is given each message that comes
    subscriptions  topics to read
    available      topic of the agent's own state: online, stopped at its end, offline by the broker where it is lost
    """

    settings: MqttSettings
    on_message: Callable[[Message], None]
    subscriptions: Sequence[str]
    available: str
    outbox: Outbox = field(default_factory=Outbox)
    make_pauses: Callable[[], Backoff] = PAUSES
    num_connections: int = 0
    _told: str = ""
    _protocol: ProtocolVersion = ProtocolVersion.V5

    @property
    def is_connected(self) -> bool:
        return self.outbox.is_open

    async def run(self) -> None:
        """For ever: connects, and where that fails or ends tries again; told once for each reason."""
        pauses = self.make_pauses()
        async with asyncio.TaskGroup() as group:
            while True:
                since_seconds = time.monotonic()
                try:
                    await self._connected(group)
                except MqttConnectError as error:
                    if self._protocol is ProtocolVersion.V5 and _code(error) in _NO_SUCH_PROTOCOL:
                        self._protocol = ProtocolVersion.V311
                        log.info("the broker at %s knows no MQTT 5; it is spoken to in 3.1.1", self._where)
                        continue
                    self._tell(f"it refuses user, password or client ({error})")
                except (MqttError, OSError, ValueError) as error:
                    self._tell(_ERRNO.sub("", str(error)) or type(error).__name__)
                heed_cancellation()
                if time.monotonic() - since_seconds > STEADY_SECONDS:
                    pauses.reset()
                await asyncio.sleep(pauses.next_seconds())

    @property
    def _where(self) -> str:
        return f"{self.settings.host}:{self.settings.port}"

    def _tell(self, why: str) -> None:
        if why != self._told:
            log.warning("the broker at %s cannot be reached: %s; tried again", self._where, why)
        self._told = why

    async def _connected(self, group: asyncio.TaskGroup) -> None:
        """Until it ends. Raises: MqttError, always."""
        async with self._client() as client:
            try:
                await self._subscribe(client)
                heed_cancellation()
                self._begin()
                await self._talk(client, group)
            except asyncio.CancelledError:
                await self._say_stopped(client)
                raise
            finally:
                self.outbox.is_open = False
                _know_of_its_end(client)

    async def _talk(self, client: Client, group: asyncio.TaskGroup) -> None:
        """Reads and writes, until one of the two fails. Raises: MqttError, always."""
        tasks = [
            group.create_task(_outcome(self._read(client)), name="mqtt reader"),
            group.create_task(_outcome(self._write(client)), name="mqtt writer"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        raise MqttError("the connection was lost") from next(iter(done)).result()

    def _client(self) -> Client:
        settings, has_tls = self.settings, self.settings.has_tls
        return Client(
            settings.host,
            settings.port,
            username=settings.user,
            password=None if settings.password is None else settings.password.get_secret_value(),
            identifier=settings.client_id,
            protocol=self._protocol,
            will=Will(self.available, b"offline", qos=1, retain=True),
            clean_session=None if self._protocol is ProtocolVersion.V5 else True,
            keepalive=KEEPALIVE_SECONDS,
            timeout=REPLY_SECONDS,
            queue_type=_Incoming,
            max_queued_incoming_messages=MOST_INCOMING,
            socket_options=NODELAY,
            logger=_MQTT_LOG,
            tls_params=_tls(settings) if has_tls else None,
            tls_insecure=settings.tls_insecure if has_tls else None,
        )

    async def _subscribe(self, client: Client) -> None:
        for topic in self.subscriptions:
            codes = await client.subscribe(topic, qos=1)
            if any(_number(code) >= _NOT_ALLOWED for code in codes):
                log.warning("the broker at %s does not let us read %s; its ACL has to allow that", self._where, topic)

    def _begin(self) -> None:
        self._told, self.outbox.is_open = "", True
        self.num_connections += 1
        self.outbox.retain(self.available, b"online")
        self.outbox.tell_again(first=self.available)
        log.info("connected to the broker at %s", self._where)

    async def _read(self, client: Client) -> None:
        async for message in client.messages:
            self.on_message(message)

    async def _write(self, client: Client) -> None:
        while True:
            heed_cancellation()
            message = await self.outbox.next()
            try:
                await client.publish(
                    message.topic,
                    message.payload,
                    qos=message.qos,
                    retain=message.retain,
                    properties=self._correlated(message.correlation),
                )
            except (MqttError, ValueError, asyncio.CancelledError):  # cancelled where the reader saw the end first
                if not self.outbox.failed(message):
                    size = len(message.payload)
                    log.warning("the broker at %s does not take %s, of %d bytes", self._where, message.topic, size)
                raise
            self.outbox.sent(message)

    def _correlated(self, correlation: bytes | None) -> Properties | None:
        if correlation is None or self._protocol is not ProtocolVersion.V5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = correlation
        return properties

    async def _say_stopped(self, client: Client) -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await client.publish(self.available, b"stopped", qos=1, retain=True)
        except (MqttError, TimeoutError):
            log.debug("the broker was not told that the agent stopped")


def _tls(settings: MqttSettings) -> TLSParameters:
    """Raises: OSError where a file cannot be read."""
    ca, certificate, key = (
        None if path is None else str(path.expanduser())
        for path in (settings.tls_ca_certs, settings.tls_client_cert, settings.tls_client_key)
    )
    checked = ssl.CERT_NONE if settings.tls_insecure else ssl.CERT_REQUIRED
    return TLSParameters(ca_certs=ca, certfile=certificate, keyfile=key, cert_reqs=checked)


def _know_of_its_end(client: Client) -> None:
    """Else asyncio tells of an error that nobody looked at, where another was looked at first."""
    ended = client._disconnected
    if ended.done() and not ended.cancelled():
        ended.exception()


async def _outcome(work: Coroutine[None, None, None]) -> Exception | None:
    """How it ended: nothing else is to end with it."""
    try:
        await work
    except (MqttError, OSError, ValueError) as error:
        return error
    return None


def _code(error: MqttCodeError) -> int:
    return -1 if error.rc is None else _number(error.rc)


def _number(code: object) -> int:
    return code if isinstance(code, int) else int(getattr(code, "value", -1))
