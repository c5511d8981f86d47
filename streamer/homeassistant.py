"""What Home Assistant is told of a camera, so that it finds it by itself: one device with its entities. Pure functions.

Source: Home Assistant's MQTT discovery, one device message per camera. It says nothing of a payload that it refuses, so
the tests replay its rules. No Home Assistant has seen these payloads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from streamer.mqtt_topics import Topics, is_camera_name

MAKER = "Longwatch"
DESCRIBE = "What is happening now?"
MOST_STATE_CHARACTERS = 255
_MOST_NAME_CHARACTERS = 60
_ONLINE_ONLY = "{{ 'online' if value == 'online' else 'offline' }}"
"""Of a state that is neither online nor offline (stopped, disabled) Home Assistant would take no notice."""
_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")


def birth_topic(discovery_prefix: str) -> str:
    """Where Home Assistant says "online" when it has started, and has forgotten all that is not retained."""
    return f"{discovery_prefix}/status"


def object_id(topic_prefix: str, camera: str) -> str:
    """A name that Home Assistant allows."""
    return _FOREIGN.sub("_", f"{topic_prefix}_{camera}")


def device_topic(discovery_prefix: str, topic_prefix: str, camera: str) -> str:
    return f"{discovery_prefix}/device/{object_id(topic_prefix, camera)}/config"


def device_config(
    camera: str, *, topic_prefix: str, version: str, rules: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The payload for one camera; `rules` are its standing questions, each a binary sensor.

    Availability stands at the root and, where an entity has its own, under the same key: two spellings of it in one
    entity, and Home Assistant refuses the whole device.
    """
    topics, identity = Topics(topic_prefix), object_id(topic_prefix, camera)
    agent = {"t": topics.available, "val_tpl": _ONLINE_ONLY}
    entities: dict[str, dict[str, Any]] = {
        "ask": {
            "p": "text",
            "name": "Ask",
            "cmd_t": topics.ask(camera),
            "min": 1,
            "max": MOST_STATE_CHARACTERS,
            "ic": "mdi:chat-question",
        },
        "asklong": {"p": "notify", "name": "Ask (long)", "cmd_t": topics.ask(camera)},
        "describe": {
            "p": "button",
            "name": "Describe now",
            "cmd_t": topics.ask(camera),
            "pl_prs": DESCRIBE,
            "ic": "mdi:text-box-search",
        },
        "answer": {
            "p": "sensor",
            "name": "Last answer",
            "stat_t": topics.last_answer(camera),
            "val_tpl": f"{{{{ value_json.short[:{MOST_STATE_CHARACTERS}] }}}}",
            "json_attr_t": topics.last_answer(camera),
            "ic": "mdi:chat",
        },
        "event": {
            "p": "event",
            "name": "Answers",
            "stat_t": topics.answer(camera),
            "event_types": ["answer", "alert", "error"],
        },
        "snapshot": {"p": "image", "name": "Snapshot", "image_topic": topics.snapshot(camera)},
        "online": {
            "p": "binary_sensor",
            "name": "Stream",
            "dev_cla": "connectivity",
            "ent_cat": "diagnostic",
            "avty": [agent],
            "stat_t": topics.status(camera),
            "val_tpl": _ONLINE_ONLY,
            "pl_on": "online",
            "pl_off": "offline",
        },
    }
    for rule, question in (rules or {}).items():
        entities[f"rule_{_FOREIGN.sub('_', rule)}"] = {
            "p": "binary_sensor",
            "name": _name(question),
            "stat_t": topics.rule_state(camera, rule),
            "pl_on": "ON",
            "pl_off": "OFF",
        }
    return {
        "dev": {
            "ids": [identity],
            "name": _name(camera.replace("_", " ")),
            "mf": MAKER,
            "mdl": "camera",
            "sw": version,
        },
        "o": {"name": MAKER, "sw": version},
        "avty": [agent, {"t": topics.status(camera), "val_tpl": _ONLINE_ONLY}],
        "avty_mode": "all",
        "qos": 1,
        "cmps": {key: {**entity, "uniq_id": f"{identity}_{key}"} for key, entity in entities.items()},
    }


def is_ours(payload: bytes, *, topic_prefix: str) -> bool:
    """True for a payload that an agent with this prefix made."""
    return _status_topics(payload)[:1] == [Topics(topic_prefix).available]


def camera_of(payload: bytes) -> str | None:
    """The camera that one of our payloads is about."""
    topics = _status_topics(payload)
    if len(topics) != 2 or not topics[0].endswith("/available"):
        return None
    prefix = topics[0].removesuffix("/available")
    name = topics[1].removeprefix(f"{prefix}/").removesuffix("/status")
    return name if topics[1] == Topics(prefix).status(name) and is_camera_name(name) else None


def _status_topics(payload: bytes) -> list[str]:
    """Where its availability comes from; [] for what is not of our making."""
    try:
        told = json.loads(payload)
        if told["o"]["name"] != MAKER:
            return []
        topics = [each["t"] for each in told["avty"]]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return []
    return topics if all(isinstance(topic, str) for topic in topics) else []


def _name(text: str) -> str:
    text = f"{text[:1].upper()}{text[1:]}"
    return text if len(text) <= _MOST_NAME_CHARACTERS else f"{text[: _MOST_NAME_CHARACTERS - 1]}…"
