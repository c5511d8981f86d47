"""Home Assistant's own rules for a device message, replayed: it says nothing of one that it refuses.

Source: facts of its MQTT integration (abbreviations, what is mandatory, what the root shares with all entities, and
what excludes each other); what it drops silently fails here.
"""

import re
from typing import Any

ABBREVIATIONS = {
    "avty": "availability",
    "avty_mode": "availability_mode",
    "avty_t": "availability_topic",
    "cmd_t": "command_topic",
    "cmps": "components",
    "dev": "device",
    "dev_cla": "device_class",
    "ent_cat": "entity_category",
    "ic": "icon",
    "json_attr_t": "json_attributes_topic",
    "o": "origin",
    "p": "platform",
    "pl_off": "payload_off",
    "pl_on": "payload_on",
    "pl_prs": "payload_press",
    "stat_t": "state_topic",
    "uniq_id": "unique_id",
    "val_tpl": "value_template",
}
DEVICE = {"ids": "identifiers", "mdl": "model", "mf": "manufacturer", "name": "name", "sw": "sw_version", "cu": "url"}
ORIGIN = {"name": "name", "sw": "sw_version", "url": "support_url"}
AVAILABILITY = {"t": "topic", "val_tpl": "value_template"}
ROOT = {
    "device",
    "origin",
    "components",
    "availability",
    "availability_mode",
    "availability_topic",
    "command_topic",
    "encoding",
    "qos",
    "state_topic",
}
SHARED = ROOT - {"device", "origin", "components"}
_ENTITY = {"platform", "unique_id", "name", "icon", "availability", "availability_mode", "availability_topic", "qos"}
_ENTITY |= {"encoding", "entity_category", "json_attributes_topic", "default_entity_id"}
PLATFORMS: dict[str, tuple[set[str], set[str]]] = {
    "text": ({"command_topic"}, {"min", "max", "mode", "pattern", "state_topic", "value_template"}),
    "notify": ({"command_topic"}, {"command_template"}),
    "button": ({"command_topic"}, {"payload_press", "device_class"}),
    "sensor": ({"state_topic"}, {"value_template", "device_class", "state_class", "expire_after"}),
    "event": ({"state_topic", "event_types"}, {"value_template", "device_class"}),
    "image": (set(), {"image_topic", "url_topic", "content_type", "image_encoding"}),
    "binary_sensor": ({"state_topic"}, {"payload_on", "payload_off", "value_template", "device_class", "off_delay"}),
}
_TOPIC = re.compile(r"(?P<prefix>\w+)/device/(?P<object_id>[a-zA-Z0-9_-]+)/config")


def entities_of(topic: str, payload: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The entities that Home Assistant makes of a device message. Raises: ValueError where it would make none."""
    if not _TOPIC.fullmatch(topic):
        raise ValueError(f"{topic} is no topic of discovery")
    root = _expanded(payload, ABBREVIATIONS)
    if unknown := root.keys() - ROOT:
        raise ValueError(f"unknown at the root: {unknown}")
    if missing := {"device", "origin", "components"} - root.keys():
        raise ValueError(f"missing at the root: {missing}")
    _check_about(_expanded(root["device"], DEVICE), set(DEVICE.values()), needs={"identifiers"})
    _check_about(_expanded(root["origin"], ORIGIN), set(ORIGIN.values()), needs={"name"})
    shared = {key: value for key, value in root.items() if key in SHARED}
    entities = {key: _entity(key, entity, shared) for key, entity in root["components"].items()}
    names = [entity["unique_id"] for entity in entities.values()]
    if len(set(names)) != len(names):
        raise ValueError(f"the same unique_id twice: {names}")
    return entities


def _entity(key: str, given: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    entity = shared | _expanded(given, ABBREVIATIONS)
    platform = entity.get("platform")
    if platform not in PLATFORMS:
        raise ValueError(f"{key}: no such platform: {platform}")
    needs, may = PLATFORMS[platform]
    if missing := ({"unique_id"} | needs) - entity.keys():
        raise ValueError(f"{key}: missing: {missing}")
    if unknown := entity.keys() - _ENTITY - needs - may:
        raise ValueError(f"{key}: unknown, and dropped silently: {unknown}")
    if {"availability", "availability_topic"} <= entity.keys():
        raise ValueError(f"{key}: availability and availability_topic exclude each other")
    if platform == "image" and len({"image_topic", "url_topic"} & entity.keys()) != 1:
        raise ValueError(f"{key}: expected one of image_topic and url_topic")
    if platform == "text" and not 0 <= entity.get("min", 0) <= entity.get("max", 255) <= 255:
        raise ValueError(f"{key}: min and max are from 0 to 255")
    for each in entity.get("availability", []):
        _check_about(_expanded(each, AVAILABILITY), set(AVAILABILITY.values()), needs={"topic"})
    for name, value in entity.items():
        if name.endswith("_topic") and (not value or re.search(r"[+#\x00]", value)):
            raise ValueError(f"{key}: {name} cannot be {value!r}")
    return entity


def _expanded(given: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in given.items()}


def _check_about(about: dict[str, Any], known: set[str], *, needs: set[str]) -> None:
    if about.keys() - known or needs - about.keys():
        raise ValueError(f"expected {needs} and at most {known}, found {about.keys()}")
