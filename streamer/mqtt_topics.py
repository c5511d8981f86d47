"""The tree of MQTT topics under one prefix, and which of them an answer may be sent to. It knows no client.

    <prefix>/available                 online, stopped, or offline (the will); retained
    <prefix>/stats                     what the agent has done, as JSON, now and then
    <prefix>/ask                       a question to every camera
    <prefix>/<camera>/ask              a question
    <prefix>/<camera>/answer           its answer, or an error, as JSON
    <prefix>/<camera>/answer/partial   pieces of it as they come, where that is asked for
    <prefix>/<camera>/last_answer      the newest answer that went there; retained
    <prefix>/<camera>/snapshot         the newest picture, a JPEG; retained
    <prefix>/<camera>/status           online, offline or disabled; retained
    <prefix>/<camera>/watch/<rule>/state  ON or OFF; retained

Who asks may name another topic for the answer, under one of a few prefixes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from streamer.settings_base import CAMERA_NAME

MOST_TOPIC_BYTES = 1024
_OWN = ("available", "stats", "ask", "last_answer", "snapshot", "status", "state", "set")
"""Ends of topics under the prefix that are no answer's."""


def is_camera_name(name: str) -> bool:
    return bool(re.fullmatch(CAMERA_NAME, name))


@dataclass(frozen=True)
class Topics:
    """Those of one agent; `reply_prefixes` are other places for answers than under its own."""

    prefix: str
    reply_prefixes: tuple[str, ...] = ()

    @property
    def available(self) -> str:
        return f"{self.prefix}/available"

    @property
    def stats(self) -> str:
        return f"{self.prefix}/stats"

    @property
    def ask_all(self) -> str:
        return f"{self.prefix}/ask"

    @property
    def ask_any(self) -> str:
        """What to subscribe to for questions to one camera."""
        return f"{self.prefix}/+/ask"

    def ask(self, camera: str) -> str:
        return f"{self.prefix}/{camera}/ask"

    def answer(self, camera: str) -> str:
        """`camera` "" is where errors of a question to every camera go."""
        return f"{self.prefix}/{camera}/answer" if camera else f"{self.prefix}/answer"

    def last_answer(self, camera: str) -> str:
        return f"{self.prefix}/{camera}/last_answer"

    def snapshot(self, camera: str) -> str:
        return f"{self.prefix}/{camera}/snapshot"

    def status(self, camera: str) -> str:
        return f"{self.prefix}/{camera}/status"

    def rule_state(self, camera: str, rule: str) -> str:
        return f"{self.prefix}/{camera}/watch/{rule}/state"

    def retained(self, camera: str) -> tuple[str, ...]:
        """All that a broker keeps of a camera."""
        return self.status(camera), self.last_answer(camera), self.snapshot(camera)

    def asked_camera(self, topic: str) -> str | None:
        """The camera that a question on `topic` is put to, "" for all of them; None where it is no topic to ask on."""
        if topic == self.ask_all:
            return ""
        name = topic.removeprefix(f"{self.prefix}/").removesuffix("/ask")
        return name if topic == self.ask(name) and is_camera_name(name) else None

    def may_answer_on(self, topic: str) -> bool:
        """True for one that can be written to, lies under a prefix for answers, and has no other meaning."""
        if not topic.isprintable() or "+" in topic or "#" in topic or len(topic.encode()) > MOST_TOPIC_BYTES:
            return False
        if topic.startswith(f"{self.prefix}/") and topic.rpartition("/")[2] in _OWN:
            return False
        return any(topic.startswith(prefix) and len(topic) > len(prefix) for prefix in self.answer_prefixes)

    @property
    def answer_prefixes(self) -> tuple[str, ...]:
        return f"{self.prefix}/", *self.reply_prefixes


def partial(answer_topic: str) -> str:
    """Where the pieces of what is answered on `answer_topic` go."""
    return f"{answer_topic}/partial"
