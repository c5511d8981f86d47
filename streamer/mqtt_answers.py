"""Answers and errors as they go out over MQTT: flat JSON that says what it is, short enough for a sensor's state."""

from __future__ import annotations

import json
from typing import Any

from streamer.answer import Answer
from streamer.errors import BusyError, NotReadyError, QuestionError
from streamer.mqtt_request import RequestError

MOST_SHORT_CHARACTERS = 255
"""As long as a state may be in Home Assistant."""


def answer_fields(answer: Answer, *, request_id: str | int | None, camera: str) -> dict[str, Any]:
    """What `Answer.to_json` has, and: whose question it answers, the answer in short, the time it was made from."""
    return {
        "event_type": "answer",
        "id": request_id,
        "camera": camera,
        "short": short(answer.answer),
        "window": {
            "since_seconds": round(answer.evidence[0].start_seconds, 3),
            "until_seconds": round(answer.evidence[-1].end_seconds, 3),
        },
        **answer.to_json(),
    }


def error_fields(
    error: QuestionError, *, request_id: str | int | None, camera: str, question: str = ""
) -> dict[str, Any]:
    """`code` is what kind of error it is: busy, not_ready, bad_request or failed."""
    return {
        "event_type": "error",
        "id": request_id,
        "camera": camera,
        "question": question,
        "code": _code(error),
        "error": str(error),
        "short": short(str(error)),
    }


def as_payload(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", errors="replace")


def short(text: str) -> str:
    """At most 255 characters, cut between two words where there are some."""
    text = " ".join(text.split())
    if len(text) <= MOST_SHORT_CHARACTERS:
        return text
    cut = text[: MOST_SHORT_CHARACTERS - 1]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[MOST_SHORT_CHARACTERS // 2 :] else cut}…"


def _code(error: QuestionError) -> str:
    if isinstance(error, BusyError):
        return "busy"
    if isinstance(error, NotReadyError):
        return "not_ready"
    return "bad_request" if isinstance(error, RequestError) else "failed"
