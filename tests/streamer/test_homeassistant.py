"""Home Assistant would make of our payloads what we mean, by its own rules as far as they are known."""

import copy
import json

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.homeassistant import birth_topic, camera_of, device_config, device_topic, is_ours, object_id
from tests.streamer.home_assistant_rules import entities_of

TOPIC = device_topic("homeassistant", "longwatch", "front_door")


def config(**options: object) -> dict:
    return device_config("front_door", topic_prefix="longwatch", version="0.1.0", **options)


def rendered(template: str, value: str) -> str:
    told = json.loads(value) if value.startswith("{") else None
    return jinja2.Environment().from_string(template).render(value=value, value_json=told)


def test_a_camera_is_a_device_with_its_entities():
    entities = entities_of(TOPIC, config())
    assert {key: entity["platform"] for key, entity in entities.items()} == {
        "ask": "text",
        "asklong": "notify",
        "describe": "button",
        "answer": "sensor",
        "event": "event",
        "snapshot": "image",
        "online": "binary_sensor",
    }
    assert entities["ask"]["command_topic"] == entities["asklong"]["command_topic"] == "longwatch/front_door/ask"
    assert entities["answer"]["state_topic"] == entities["answer"]["json_attributes_topic"]
    assert entities["event"]["state_topic"] == "longwatch/front_door/answer"
    assert entities["snapshot"]["image_topic"] == "longwatch/front_door/snapshot"
    assert config()["dev"]["name"] == "Front door"
    assert TOPIC == "homeassistant/device/longwatch_front_door/config"
    assert birth_topic("ha") == "ha/status"


def test_each_entity_is_there_while_agent_and_camera_are_and_the_stream_while_the_agent_is():
    entities = entities_of(TOPIC, config())
    both = ["longwatch/available", "longwatch/front_door/status"]
    for key, entity in entities.items():
        assert entity["availability_mode"] == "all"
        topics = [each["t"] for each in entity["availability"]]
        assert topics == (both[:1] if key == "online" else both)
        for each in entity["availability"]:
            assert rendered(each["val_tpl"], "online") == "online"
            for other in ("offline", "stopped", "disabled", "", "ONLINE?"):
                assert rendered(each["val_tpl"], other) == "offline"


def test_a_long_answer_fits_into_a_state():
    template = entities_of(TOPIC, config())["answer"]["value_template"]
    assert rendered(template, json.dumps({"short": "x" * 300})) == "x" * 255
    assert rendered(template, json.dumps({"short": "Yes."})) == "Yes."


def test_a_rule_is_a_binary_sensor():
    rules = {"parcel": "is a parcel at the door?", "night": "Is it so dark that " + "nobody sees " * 20 + "?"}
    entities = entities_of(TOPIC, config(rules=rules))
    assert entities["rule_parcel"]["platform"] == "binary_sensor"
    assert entities["rule_parcel"]["state_topic"] == "longwatch/front_door/watch/parcel/state"
    assert entities["rule_parcel"]["name"] == "Is a parcel at the door?"
    assert len(entities["rule_night"]["name"]) <= 60


@pytest.mark.parametrize("prefix", ["longwatch", "home/longwatch", "häuser/1", "a.b"])
@pytest.mark.parametrize("camera", ["front", "front_door", "back-yard2"])
def test_any_prefix_and_camera_make_a_topic_that_is_allowed(prefix, camera):
    topic = device_topic("homeassistant", prefix, camera)
    payload = device_config(camera, topic_prefix=prefix, version="1")
    assert entities_of(topic, payload)
    raw = json.dumps(payload).encode()
    assert is_ours(raw, topic_prefix=prefix)
    assert not is_ours(raw, topic_prefix="another")
    assert camera_of(raw) == camera


def test_two_cameras_are_two_devices():
    assert object_id("longwatch", "front") != object_id("longwatch", "back")
    first, second = (config(), device_config("back", topic_prefix="longwatch", version="1"))
    ids = [entity["uniq_id"] for each in (first, second) for entity in each["cmps"].values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: told.update(stat_topic="x"), "unknown at the root"),
        (lambda told: told.pop("o"), "missing at the root"),
        (lambda told: told["dev"].pop("ids"), "identifiers"),
        (lambda told: told["dev"].update(colour="red"), "at most"),
        (lambda told: told["cmps"]["ask"].update(avty_t="longwatch/available"), "exclude each other"),
        (lambda told: told["cmps"]["ask"].pop("uniq_id"), "missing: {'unique_id'}"),
        (lambda told: told["cmps"]["ask"].pop("p"), "no such platform"),
        (lambda told: told["cmps"]["ask"].update(max=256), "from 0 to 255"),
        (lambda told: told["cmps"]["ask"].update(cmd_t="a/+/b"), "cannot be"),
        (lambda told: told["cmps"]["ask"].update(uniq_id=told["cmps"]["online"]["uniq_id"]), "unique_id twice"),
        (lambda told: told["cmps"]["event"].pop("event_types"), "event_types"),
        (lambda told: told["cmps"]["snapshot"].update(url_topic="x"), "one of image_topic and url_topic"),
        (lambda told: told["cmps"]["answer"].update(val_template="x"), "dropped silently"),
        (lambda told: told.update(stat_t="shared"), "unknown, and dropped silently: {'state_topic'}"),
    ],
)
def test_the_rules_see_what_home_assistant_would_refuse(change, says):
    told = copy.deepcopy(config())
    change(told)
    with pytest.raises(ValueError, match=says):
        entities_of(TOPIC, told)


def test_another_topic_is_none_of_discovery():
    with pytest.raises(ValueError, match="no topic of discovery"):
        entities_of("homeassistant/device/a b/config", config())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"o": "Longwatch"}',
        b'{"o": {"name": "Longwatch"}}',
        b'{"o": {"name": "Longwatch"}, "avty": 3}',
        b'{"o": {"name": "Longwatch"}, "avty": [3, null]}',
        b'{"o": {"name": "Longwatch"}, "avty": [{"t": 3}]}',
        b'{"o": {"name": "Another"}, "avty": [{"t": "longwatch/available"}, {"t": "longwatch/front/status"}]}',
        b"[" * 100_000,
    ],
)
def test_what_others_made_is_not_ours(payload):
    assert not is_ours(payload, topic_prefix="longwatch")
    assert camera_of(payload) is None


@pytest.mark.parametrize("camera", ["+", "#", "a/b", "A B", ""])
def test_a_camera_that_cannot_be_ours_is_none(camera):
    told = device_config("x", topic_prefix="longwatch", version="1")
    told["avty"][1]["t"] = f"longwatch/{camera}/status"
    assert camera_of(json.dumps(told).encode()) is None


@given(st.binary(max_size=200))
def test_no_bytes_fail(payload):
    assert not is_ours(payload, topic_prefix="longwatch")
    assert camera_of(payload) is None
