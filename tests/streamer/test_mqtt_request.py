"""Questions as people and programs send them, and what is no question."""

import json
import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.mqtt_request import MOST_BYTES, Request, RequestError, read_request
from streamer.mqtt_topics import Topics
from streamer.times import Span

TOPICS = Topics("longwatch", ("reply/",))
NOW = datetime(2026, 11, 22, 9, 0, 0).timestamp()


def read(payload: bytes | str | dict, response_topic: str | None = None) -> Request:
    if isinstance(payload, dict):
        payload = json.dumps(payload)
    raw = payload if isinstance(payload, bytes) else payload.encode()
    return read_request(raw, response_topic=response_topic, topics=TOPICS, now_seconds=NOW)


def outcome(payload: bytes | dict) -> Request | RequestError:
    try:
        return read(payload)
    except RequestError as error:
        return error


def test_plain_text_is_a_question():
    assert read(" Is the gate open? \n") == Request("Is the gate open?")
    assert read("Is the gate open?", "reply/x").answer_topic == "reply/x"
    assert read('"a quoted one"') == Request('"a quoted one"')
    assert read("") == Request("")  # the agent says what is wrong with it


def test_json_says_more():
    asked = read(
        {
            "id": 7,
            "question": "What came?",
            "since": "08:00",
            "until": NOW - 60,
            "response_topic": "reply/me",
            "stream": True,
            "max_tokens": 40,
            "asked_at": NOW - 5,
        }
    )
    since = datetime(2026, 11, 22, 8, 0).timestamp()
    assert asked == Request("What came?", 7, Span(NOW - 60, since), "reply/me", True, 40)


@pytest.mark.parametrize(
    ("times", "span"),
    [
        ({"at": "08:30"}, Span(datetime(2026, 11, 22, 8, 30, 59).timestamp())),
        ({"at": NOW - 100.5}, Span(NOW - 100.5)),
        ({"at": "2h"}, Span(NOW - 7200)),
        ({"since": "1h"}, Span(NOW, NOW - 3600)),
        ({"until": "1h"}, Span(NOW - 3600, -math.inf)),
        ({"since": None, "until": None}, None),
    ],
)
def test_times_are_as_on_the_command_line(times, span):
    assert read({"question": "q", **times}).span == span


def test_the_topic_of_mqtt_5_goes_before_the_one_in_the_json():
    assert read({"question": "q", "response_topic": "reply/b"}, "reply/a").answer_topic == "reply/a"


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"x" * (MOST_BYTES + 1), "more than 16384 bytes"),
        ("{", "begins like JSON"),
        ('{"question": "q"', "begins like JSON"),
        ('{"a":' * 3000, "begins like JSON"),
        ({}, "question: expected text"),
        ({"question": 3}, "question: expected text"),
        ({"question": "q", "untill": 3}, "unknown key 'untill'; known here: id, question"),
        ({"question": "q", "id": {}}, "id: expected"),
        ({"question": "q", "id": True}, "id: expected"),
        ({"question": "q", "id": "x" * 200}, "id: expected at most"),
        ({"question": "q", "stream": "yes"}, "stream: expected true or false"),
        ({"question": "q", "max_tokens": 0}, "max_tokens: expected a whole number from 1 to 512"),
        ({"question": "q", "max_tokens": True}, "max_tokens"),
        ({"question": "q", "max_tokens": 10**9}, "max_tokens"),
        ({"question": "q", "at": "noon"}, "'noon' is no time"),
        ({"question": "q", "at": []}, "at: expected a time"),
        ({"question": "q", "at": 10**400}, "is no time"),
        ('{"question": "q", "at": NaN}', "is no time"),
        ({"question": "q", "at": "8:00", "since": "7:00"}, "either at, or since and until"),
        ({"question": "q", "since": "1h", "until": "2h"}, "until is before since"),
        ({"question": "q", "asked_at": NOW - 61}, "61 s ago.*ask again"),
        ({"question": "q", "asked_at": "now"}, "asked_at: expected seconds"),
        ('{"question": "q", "asked_at": Infinity}', "asked_at: expected seconds"),
        ({"question": "q", "asked_at": 10**400}, "asked_at: expected seconds"),
    ],
)
def test_what_is_no_question_fails_with_what_is_wrong(payload, says):
    with pytest.raises(RequestError, match=says):
        read(payload)


@pytest.mark.parametrize(
    "topic", ["$SYS/x", "homeassistant/status", "reply/#", "longwatch/front/ask", "", "reply/\ud83d"]
)
def test_a_hostile_response_topic_fails_and_is_not_answered_on(topic):
    for asked in (lambda: read("q", topic), lambda: read({"id": "a", "question": "q", "response_topic": topic})):
        with pytest.raises(RequestError, match="begins with longwatch/ or reply/") as failed:
            asked()
        assert failed.value.answer_topic is None
    assert failed.value.request_id == "a"


def test_who_asks_wrongly_is_told_where_the_answer_would_have_gone():
    with pytest.raises(RequestError) as failed:
        read({"id": "a", "question": 3, "response_topic": "reply/x"})
    assert (failed.value.request_id, failed.value.answer_topic) == ("a", "reply/x")
    with pytest.raises(RequestError) as failed:
        read(b"\xff", "reply/x")
    assert (failed.value.request_id, failed.value.answer_topic) == (None, "reply/x")


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: ("{" + text).encode(errors="replace")))
def test_no_bytes_do_anything_else(payload):
    assert "\n" not in str(outcome(payload)) or isinstance(outcome(payload), Request)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_KEYS = st.sampled_from(
    ("id", "question", "at", "since", "until", "response_topic", "stream", "max_tokens", "asked_at")
)


@given(st.dictionaries(_KEYS, _JSON, max_size=5))
def test_nor_does_any_json(asked):
    topic = outcome(asked).answer_topic
    assert topic is None or TOPICS.may_answer_on(topic)
