"""What Frigate tells, as something to ask about. Payloads are in the form that its documents show."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.frigate import Trigger, read_trigger
from streamer.settings import FrigateSettings
from streamer.times import Span

EVENT = {
    "type": "end",
    "before": {"id": "1607123955.475377-mxklsc", "camera": "front_door"},
    "after": {
        "id": "1607123955.475377-mxklsc",
        "camera": "front_door",
        "start_time": 1607123955.475377,
        "end_time": 1607123962.5,
        "label": "person",
        "current_zones": ["porch"],
        "entered_zones": ["yard", "porch"],
    },
}
REVIEW = {
    "type": "end",
    "before": {},
    "after": {
        "id": "1718987129.308396-fqk5ka",
        "camera": "front_door",
        "start_time": 1718987129.308396,
        "end_time": 1718987140.5,
        "severity": "alert",
        "data": {"detections": ["a-b"], "objects": ["person-verified", "car"], "zones": ["front_yard"], "audio": []},
    },
}


def read(told: object, **settings: object) -> Trigger | None:
    return read_trigger(json.dumps(told).encode(), FrigateSettings.model_validate(settings))


def test_an_event_is_a_trigger():
    trigger = read(EVENT)
    assert trigger == Trigger(
        "1607123955.475377-mxklsc", "front_door", "person", ("porch", "yard"), "end", 1607123955.475377, 1607123962.5
    )
    assert trigger.span(1607123999.0) == Span(1607123964.5, 1607123950.475377)


def test_a_review_is_a_trigger():
    trigger = read(REVIEW, cameras={"front_door": "front"})
    assert (trigger.camera, trigger.label, trigger.zones) == ("front", "person and car", ("front_yard",))


def test_what_goes_on_lasts_until_now():
    going_on = {**EVENT, "type": "new", "after": {**EVENT["after"], "end_time": None}}
    assert read(going_on, types=["new"]).span(1607123960.0) == Span(1607123960.0, 1607123950.475377)


def test_it_is_waited_for_until_it_is_kept_and_not_for_ever():
    trigger = read(EVENT)
    end_seconds = 1607123962.5
    assert trigger.seconds_until_kept(end_seconds, kept_after_seconds=15.0) == 17.0
    assert trigger.seconds_until_kept(end_seconds + 16.0, kept_after_seconds=15.0) == 1.0
    assert trigger.seconds_until_kept(end_seconds + 60.0, kept_after_seconds=15.0) == 0.0
    assert trigger.seconds_until_kept(0.0, kept_after_seconds=15.0) == 17.0
    going_on = read({**EVENT, "after": {**EVENT["after"], "end_time": None}})
    assert going_on.seconds_until_kept(end_seconds, kept_after_seconds=15.0) == 15.0


@given(st.floats(0, 9e10), st.floats(0, 9e10) | st.none(), st.floats(0, 9e10))
def test_a_span_is_never_empty_nor_of_the_future(start_seconds, end_seconds, now_seconds):
    trigger = Trigger("a", "b", "person", (), "end", start_seconds, end_seconds)
    span = trigger.span(now_seconds)
    assert span.since_seconds < span.until_seconds <= max(now_seconds, start_seconds + 1)


@pytest.mark.parametrize(
    ("template", "question"),
    [
        ("What did the {label} do in {zones}?", "What did the person do in porch, yard?"),
        ("Who is at {camera}?", "Who is at front_door?"),
        ("What happened?", "What happened?"),
    ],
)
def test_the_question_says_what_was_seen(template, question):
    assert read(EVENT).question(FrigateSettings(question=template).question) == question


def test_what_frigate_says_is_no_template():
    hostile = {**EVENT, "after": {**EVENT["after"], "label": "{camera.__class__} {zones}"}}
    assert read(hostile).question("A {label}?") == "A {camera.__class__} {zones}?"


@pytest.mark.parametrize(
    "settings",
    [{"types": ["new"]}, {"labels": ["dog"]}, {"severities": ["alert"]}],
)
def test_what_is_not_wanted_is_nothing(settings):
    assert read(EVENT, **settings) is None


def test_what_is_wanted_of_a_review_is_asked_about():
    assert read(REVIEW, labels=["car", "dog"], severities=["alert"]).label == "car"
    assert read(REVIEW, severities=["detection"]) is None


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"type": "end"},
        {"type": "end", "after": []},
        {"type": ["end"], "after": EVENT["after"]},
        {"type": "end", "after": {**EVENT["after"], "start_time": "now"}},
        {"type": "end", "after": {**EVENT["after"], "id": 3}},
        {"type": "end", "after": {**EVENT["after"], "camera": None}},
        {"type": "end", "after": {**EVENT["after"], "start_time": float("nan")}},
        {"type": "end", "after": {**EVENT["after"], "start_time": 1e300}},
        {"type": "end", "after": {**EVENT["after"], "start_time": -1e18}},
        {"type": "end", "after": {**EVENT["after"], "start_time": 10**400}},
    ],
)
def test_what_is_not_frigates_is_nothing(told):
    assert read(told) is None


@given(st.binary(max_size=100))
def test_bytes_are_nothing(payload):
    assert read_trigger(payload, FrigateSettings()) is None


def test_a_template_with_an_unknown_field_fails():
    with pytest.raises(ValueError, match=r"{labels} is not known; what can stand in a question: {label}, {zones}"):
        FrigateSettings(question="What did the {labels} do?")
