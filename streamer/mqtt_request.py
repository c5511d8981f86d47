"""A question as it comes over MQTT, plain text or JSON, checked before anything else sees it. It knows no client."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from streamer.errors import QuestionError
from streamer.mqtt_topics import Topics
from streamer.times import Span, parse_moment, parse_time

MOST_BYTES = 16 * 1024
MOST_ID_CHARACTERS = 128
MOST_TOKENS = 512
LATE_SECONDS = 60.0
"""A question that was put so long ago is refused: who asked has gone on, and "now" is another."""
KEYS = ("id", "question", "at", "since", "until", "response_topic", "stream", "max_tokens", "asked_at")


class RequestError(QuestionError):
    """No question can be made of it; `request_id` is what it was called, where that could be read."""

    def __init__(self, message: str, *, request_id: str | int | None = None, answer_topic: str | None = None) -> None:
        super().__init__(message)
        self.request_id, self.answer_topic = request_id, answer_topic


@dataclass(frozen=True)
class Request:
    """A question to be put.

    request_id    the asker's own; None where there is none
    answer_topic  where the asker wants it; None: the camera's own
    max_tokens    how long the answer may be; None: as ever
    """

    question: str
    request_id: str | int | None = None
    span: Span | None = None
    answer_topic: str | None = None
    wants_pieces: bool = False
    max_tokens: int | None = None


def read_request(payload: bytes, *, response_topic: str | None, topics: Topics, now_seconds: float) -> Request:
    """What is asked; MQTT 5's own `response_topic` goes before the one in the JSON.

    Raises: RequestError, one line that says what is wrong; its topic is one that may be answered on.
    """
    if response_topic is not None and not topics.may_answer_on(response_topic):
        raise RequestError(_not_allowed(topics))
    try:
        return _read(payload, response_topic, topics, now_seconds)
    except RequestError as error:
        error.answer_topic = error.answer_topic or response_topic
        raise


def _read(payload: bytes, response_topic: str | None, topics: Topics, now_seconds: float) -> Request:
    if len(payload) > MOST_BYTES:
        raise RequestError(f"the question has more than {MOST_BYTES} bytes; at most so many are read")
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError as error:
        raise RequestError("the question is not UTF-8 text") from error
    if not text.startswith("{"):
        return Request(text, answer_topic=response_topic)
    asked = _object(text)
    request_id = _id_of(asked)
    try:
        topic = response_topic or _topic_of(asked, topics)
    except RequestError as error:
        error.request_id = request_id
        raise
    try:
        if unknown := sorted(str(key) for key in asked if key not in KEYS):
            raise RequestError(f"unknown key {unknown[0][:40]!r}; known here: {', '.join(KEYS)}")
        _refuse_late(asked, now_seconds)
        return Request(
            _text_of(asked, "question"),
            request_id,
            _span_of(asked, now_seconds),
            topic,
            _is_true(asked, "stream"),
            _max_tokens_of(asked),
        )
    except RequestError as error:
        error.request_id, error.answer_topic = request_id, topic
        raise


def _object(text: str) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError("the question begins like JSON and is none; send JSON or plain text") from error
    assert isinstance(asked, dict)  # it begins with a brace
    return asked


def _id_of(asked: dict[str, Any]) -> str | int | None:
    given: object = asked.get("id")
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise RequestError("id: expected text or a whole number")
    if len(str(given)) > MOST_ID_CHARACTERS:
        raise RequestError(f"id: expected at most {MOST_ID_CHARACTERS} characters")
    return given


def _topic_of(asked: dict[str, Any], topics: Topics) -> str | None:
    topic = asked.get("response_topic")
    if topic is None:
        return None
    if not isinstance(topic, str) or not topics.may_answer_on(topic):
        raise RequestError(_not_allowed(topics))
    return topic


def _not_allowed(topics: Topics) -> str:
    return (
        "no answer may be sent to that response topic; take one that has no meaning of its own and begins with "
        f"{' or '.join(topics.answer_prefixes)}"
    )


def _text_of(asked: dict[str, Any], key: str) -> str:
    value = asked.get(key)
    if not isinstance(value, str):
        raise RequestError(f"{key}: expected text")
    return value


def _is_true(asked: dict[str, Any], key: str) -> bool:
    value = asked.get(key, False)
    if not isinstance(value, bool):
        raise RequestError(f"{key}: expected true or false")
    return value


def _max_tokens_of(asked: dict[str, Any]) -> int | None:
    value = asked.get("max_tokens")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_TOKENS):
        raise RequestError(f"max_tokens: expected a whole number from 1 to {MOST_TOKENS}")
    return value


def _refuse_late(asked: dict[str, Any], now_seconds: float) -> None:
    asked_seconds = _number(asked, "asked_at")
    if asked_seconds is not None and now_seconds - asked_seconds > LATE_SECONDS:
        raise RequestError(
            f"the question was put {now_seconds - asked_seconds:.0f} s ago, and one of more than {LATE_SECONDS:.0f} s "
            "is not answered; ask again"
        )


def _number(asked: dict[str, Any], key: str) -> float | None:
    value = asked.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise RequestError(f"{key}: expected seconds since 1970")
    return float(value)


def _span_of(asked: dict[str, Any], now_seconds: float) -> Span | None:
    """As on the command line."""
    at, since, until = (asked.get(key) for key in ("at", "since", "until"))
    if at is since is until is None:
        return None
    if at is not None and (since is not None or until is not None):
        raise RequestError("give either at, or since and until")
    try:
        if at is not None:
            return Span(parse_moment(_time(at, "at"), now_seconds=now_seconds))
        return Span(
            now_seconds if until is None else parse_time(_time(until, "until"), now_seconds=now_seconds),
            -math.inf if since is None else parse_time(_time(since, "since"), now_seconds=now_seconds),
        )
    except ValueError as error:
        raise RequestError(str(error).replace("--", "")) from error


def _time(value: object, key: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RequestError(f"{key}: expected a time, as text or in seconds since 1970")
    return f"{value:.3f}" if isinstance(value, float) else str(value)
