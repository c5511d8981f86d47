"""Questions over MQTT: each that comes is put to the agent, and gets one answer or one error.

Bounds: the agent's own queue, so many questions a minute on each topic, `MOST_TRIGGERS` things that Frigate saw.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aiomqtt import Message

from streamer.answer import ANSWER_TOKENS, Answer
from streamer.asked import Asked
from streamer.errors import BusyError, NotReadyError, QuestionError
from streamer.frigate import Trigger, read_trigger
from streamer.homeassistant import birth_topic
from streamer.mqtt_answers import answer_fields, as_payload, error_fields
from streamer.mqtt_connection import Connection
from streamer.mqtt_recent import RecentQuestions
from streamer.mqtt_request import Request, RequestError, read_request
from streamer.mqtt_settings import MqttSettings
from streamer.mqtt_status import Status, forgotten_camera
from streamer.mqtt_topics import Topics, partial
from streamer.times import Span
from streamer.token_bucket import TokenBucket

if TYPE_CHECKING:
    from streamer.agent import Agent

log = logging.getLogger(__name__)

MOST_CORRELATION_BYTES = 1024
MOST_TRIGGERS = 16
"""Of Frigate's, that wait until the archive has them; one more is passed over."""
ARCHIVED_SECONDS = 15.0
"""So long after it was seen, a ring's frames are in the archive."""
LINES_PER_MINUTE = 20
"""What is wrong with questions is told so often; the rest is only counted."""
BIRTH_SECONDS = 3.0
"""Home Assistant has just started: within so long, at random, it is told of all cameras."""


@dataclass(frozen=True)
class _Asker:
    """Who waits for an answer, and where."""

    camera: str
    topic: str
    request_id: str | int | None = None
    correlation: bytes | None = None
    wants_pieces: bool = False
    is_own_topic: bool = True
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Hashable:
        """None where nothing tells this question from another one in the same words."""
        name = self.request_id if self.request_id is not None else self.correlation
        return None if name is None else (self.camera, self.topic, name)


class Mqtt:
    """`run()` it beside the agent, for ever."""

    def __init__(self, settings: MqttSettings, agent: Agent, *, has_archive: bool) -> None:
        self._settings, self._agent, self._has_archive = settings, agent, has_archive
        self._names = [camera.name for camera in agent.cameras]
        self.topics = Topics(settings.topic_prefix, settings.reply_prefixes)
        self.connection = Connection(
            settings,
            self._on_message,
            subscriptions=self._subscriptions(),
            available=self.topics.available,
        )
        self.outbox = self.connection.outbox
        self._status = Status(settings, self.topics, self.outbox, agent, counts=self.counts)
        self._recent = RecentQuestions()
        self._buckets = {
            topic: TokenBucket(settings.questions_per_minute)
            for topic in ("", self.topics.ask_all, *map(self.topics.ask, self._names))
        }
        self._lines = TokenBucket(LINES_PER_MINUTE)
        self._num_triggers = 0
        self._group: asyncio.TaskGroup | None = None
        self.num_asked = self.num_answered = self.num_refused = 0

    def counts(self) -> dict[str, int]:
        return {
            "num_asked": self.num_asked,
            "num_answered": self.num_answered,
            "num_refused": self.num_refused,
            "num_connections": self.connection.num_connections,
            "num_dropped": self.outbox.num_dropped,
        }

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            self._group.create_task(self.connection.run(), name="mqtt connection")
            self._group.create_task(self._status.tell_for_ever(), name="mqtt status")

    def _subscriptions(self) -> list[str]:
        settings = self._settings
        topics = [self.topics.ask_all, self.topics.ask_any]
        if settings.discovery:
            topics += [birth_topic(settings.discovery_prefix), f"{settings.discovery_prefix}/device/+/config"]
        if settings.frigate is not None:
            topics.append(settings.frigate.topic)
        return topics

    def _on_message(self, message: Message) -> None:
        topic, settings = str(message.topic), self._settings
        camera = self.topics.asked_camera(topic)
        if camera is not None:
            self._on_question(topic, camera, message)
        elif settings.frigate is not None and topic == settings.frigate.topic:
            self._on_frigate(bytes(message.payload))
        elif settings.discovery and topic == birth_topic(settings.discovery_prefix):
            if bytes(message.payload) == b"online":
                asyncio.get_running_loop().call_later(random.uniform(0.2, BIRTH_SECONDS), self.outbox.tell_again)
        elif settings.discovery and message.retain:
            self._forget_if_gone(topic, bytes(message.payload))

    def _forget_if_gone(self, topic: str, payload: bytes) -> None:
        """A camera that another configuration had goes from Home Assistant."""
        camera = forgotten_camera(payload, prefix=self.topics.prefix, names=self._names)
        if camera is not None:
            log.info("camera %s is no more; it is taken from Home Assistant", camera)
            for retained in (topic, *self.topics.retained(camera)):
                self.outbox.forget(retained)

    def _on_question(self, topic: str, camera: str, message: Message) -> None:
        if message.retain:  # it would be put again at each connection
            log.debug("a retained question on %s is no question", topic)
            return
        response_topic = getattr(message.properties, "ResponseTopic", None)
        correlation = getattr(message.properties, "CorrelationData", None)
        default = self.topics.answer(camera)
        asker = _Asker(camera, default, correlation=correlation)
        try:
            request = read_request(
                bytes(message.payload), response_topic=response_topic, topics=self.topics, now_seconds=time.time()
            )
        except RequestError as error:
            asker = replace(asker, topic=error.answer_topic or default, request_id=error.request_id)
            self._refuse(topic, asker, error)
            return
        asker = replace(
            asker,
            topic=request.answer_topic or default,
            request_id=request.request_id,
            wants_pieces=request.wants_pieces,
            is_own_topic=request.answer_topic is None,
        )
        if correlation is not None and len(correlation) > MOST_CORRELATION_BYTES:
            wrong = RequestError(f"the correlation data has more than {MOST_CORRELATION_BYTES} bytes")
            self._refuse(topic, replace(asker, correlation=None), wrong)
            return
        if not self._buckets.get(topic, self._buckets[""]).take():
            self._refuse(topic, asker, BusyError("too many questions in a minute on this topic; ask again later"))
            return
        for name in [camera] if camera else self._names:
            own = request.answer_topic or self.topics.answer(name)
            self._put(topic, replace(asker, camera=name, topic=own), request)

    def _put(self, topic: str, asker: _Asker, request: Request) -> None:
        """To the agent; one that was put already is not put again."""
        key = asker.key
        if key is not None and not self._recent.begin(key):
            answer = self._recent.answer(key)
            if answer is not None:
                self.outbox.publish(asker.topic, answer, correlation=asker.correlation)
            return
        try:
            if asker.camera not in self._names:
                raise RequestError(f"there is no camera {asker.camera!r}; the agent watches {', '.join(self._names)}")
            asked = self._agent.ask_by_name(
                asker.camera, request.question, request.span, request.max_tokens or ANSWER_TOKENS
            )
        except QuestionError as error:
            self._recent.forget(key)
            self._refuse(topic, asker, error, question=request.question)
            return
        assert self._group is not None
        self.num_asked += 1
        self._group.create_task(self._answer(asker, asked), name=f"mqtt answer {asker.camera}")

    async def _answer(self, asker: _Asker, asked: Asked) -> None:
        if asker.wants_pieces:
            await self._tell_pieces(asker, asked)
        try:
            answer = await asked.answer()
        except QuestionError as error:
            self._recent.forget(asker.key)
            self._refuse("", asker, error, question=asked.question)
            return
        self.num_answered += 1
        fields = answer_fields(answer, request_id=asker.request_id, camera=asker.camera) | asker.more
        payload = as_payload(fields)
        self._recent.end(asker.key, payload)
        self.outbox.publish(asker.topic, payload, correlation=asker.correlation)
        if asker.is_own_topic:
            self._keep(asker.camera, payload, answer)

    def _keep(self, camera: str, payload: bytes, answer: Answer) -> None:
        self.outbox.retain(self.topics.last_answer(camera), payload)
        newest = answer.evidence[-1]
        if self._settings.snapshot_seconds and newest.picture and newest.tier != "archive":
            self.outbox.retain(self.topics.snapshot(camera), newest.picture)

    async def _tell_pieces(self, asker: _Asker, asked: Asked) -> None:
        number = 0
        async for piece in asked:
            fields = {"id": asker.request_id, "camera": asker.camera, "number": number, "piece": piece}
            self.outbox.publish_now(partial(asker.topic), as_payload(fields), correlation=asker.correlation)
            number += 1

    def _refuse(self, topic: str, asker: _Asker, error: QuestionError, *, question: str = "") -> None:
        self.num_refused += 1
        fields = error_fields(error, request_id=asker.request_id, camera=asker.camera, question=question[:500])
        payload = as_payload(fields | asker.more)
        self.outbox.publish(asker.topic, payload, correlation=asker.correlation)
        is_usual = isinstance(error, BusyError | NotReadyError)
        if not is_usual and self._lines.take():
            log.info("a question over MQTT%s got no answer: %s", f" on {topic}" if topic else "", error)

    def _on_frigate(self, payload: bytes) -> None:
        settings = self._settings.frigate
        assert settings is not None
        trigger = read_trigger(payload, settings)
        if trigger is None or trigger.camera not in self._names:
            return
        if not self._recent.begin(("frigate", trigger.event_id, trigger.kind)):
            return
        if self._num_triggers >= MOST_TRIGGERS:
            log.warning("Frigate sees more than can be asked about; %s is passed over", trigger.event_id)
            return
        assert self._group is not None
        self._num_triggers += 1
        self._group.create_task(self._ask_of(trigger, trigger.question(settings.question)), name="mqtt frigate")

    async def _ask_of(self, trigger: Trigger, question: str) -> None:
        """With an archive once it has the time that Frigate tells of, else at once of what is in memory."""
        try:
            if self._has_archive:
                await asyncio.sleep(trigger.seconds_until_kept(time.time(), kept_after_seconds=ARCHIVED_SECONDS))
        finally:
            self._num_triggers -= 1
        span = trigger.span(time.time())
        asker = _Asker(
            trigger.camera,
            self.topics.answer(trigger.camera),
            request_id=f"frigate-{trigger.event_id}-{trigger.kind}",
            more={"trigger": {"source": "frigate", "label": trigger.label, "type": trigger.kind}},
        )
        words = question if self._has_archive else f"{question} ({_clock(span)})"
        self._put("", asker, Request(words, asker.request_id, span if self._has_archive else None))


def _clock(span: Span) -> str:
    since, until = (
        time.strftime("%H:%M:%S", time.localtime(each)) for each in (span.since_seconds, span.until_seconds)
    )
    return f"{since} to {until}"
