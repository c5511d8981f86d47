"""What Frigate, a recorder on the same broker, says that it has seen, as something to ask about. It knows no client."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from streamer.mqtt_settings import FrigateSettings
from streamer.times import Span

BEFORE_SECONDS, AFTER_SECONDS = 5.0, 2.0
"""What came before it was seen, and after it was lost, belongs to it."""
_MOST_CHARACTERS = 64
_END_SECONDS = 1e11


@dataclass(frozen=True)
class Trigger:
    """Something that Frigate saw; `end_seconds` is None while it is still there."""

    event_id: str
    camera: str
    label: str
    zones: tuple[str, ...]
    kind: str
    start_seconds: float
    end_seconds: float | None

    def question(self, template: str) -> str:
        words = {
            "label": self.label,
            "zones": ", ".join(self.zones) or "the picture",
            "camera": self.camera,
        }
        return re.sub(r"{(\w+)}", lambda field: words[field[1]], template)

    def seconds_until_kept(self, now_seconds: float, *, kept_after_seconds: float) -> float:
        """How long to wait, where what was seen is kept so long after; not longer than that for what is yet to come."""
        seen_seconds = now_seconds if self.end_seconds is None else self.end_seconds + AFTER_SECONDS
        longest_seconds = AFTER_SECONDS + kept_after_seconds
        return min(max(0.0, seen_seconds + kept_after_seconds - now_seconds), longest_seconds)

    def span(self, now_seconds: float) -> Span:
        """Until now at the latest, and never empty."""
        until_seconds = now_seconds if self.end_seconds is None else min(now_seconds, self.end_seconds + AFTER_SECONDS)
        return Span(max(until_seconds, self.start_seconds + 1.0), self.start_seconds - BEFORE_SECONDS)


def read_trigger(payload: bytes, settings: FrigateSettings) -> Trigger | None:
    """None where it is nothing of Frigate's, or nothing that is wanted."""
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    after = told.get("after") if isinstance(told, dict) else None
    if not isinstance(after, dict) or told.get("type") not in settings.types:
        return None
    start_seconds, end_seconds = _seconds(after.get("start_time")), _seconds(after.get("end_time"))
    event_id, camera = after.get("id"), after.get("camera")
    if start_seconds is None or not isinstance(event_id, str) or not isinstance(camera, str):
        return None
    labels, zones = (
        _labels(after),
        _words(after.get("current_zones"), after.get("entered_zones"), _data(after, "zones")),
    )
    if settings.labels and not set(labels) & set(settings.labels):
        return None
    if settings.severities and after.get("severity") not in settings.severities:
        return None
    wanted = [label for label in labels if not settings.labels or label in settings.labels]
    return Trigger(
        event_id[:_MOST_CHARACTERS],
        settings.cameras.get(camera, camera),
        " and ".join(wanted) or "something",
        zones,
        str(told["type"]),
        start_seconds,
        end_seconds,
    )


def _labels(after: dict[str, Any]) -> tuple[str, ...]:
    """Of an event its label, of a review all that were seen; "person-verified" is a person."""
    found = _words([after.get("label")], _data(after, "objects"))
    return tuple(dict.fromkeys(label.removesuffix("-verified") for label in found))


def _data(after: dict[str, Any], key: str) -> object:
    data = after.get("data")
    return data.get(key) if isinstance(data, dict) else None


def _words(*lists: object) -> tuple[str, ...]:
    words = (word for each in lists if isinstance(each, list) for word in each if isinstance(word, str) and word)
    return tuple(dict.fromkeys(word[:_MOST_CHARACTERS] for word in words))[:8]


def _seconds(value: object) -> float | None:
    """None for what is no time, or none that a camera can have seen."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _END_SECONDS:
        return None
    return float(value)
