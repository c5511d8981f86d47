"""Answers and errors as others read them."""

import json

import pytest

from memory import EvidenceSlot
from streamer.answer import Answer, Latency
from streamer.errors import BusyError, NotReadyError, QuestionError
from streamer.mqtt_answers import MOST_SHORT_CHARACTERS, answer_fields, as_payload, error_fields, short
from streamer.mqtt_request import RequestError


def answer_of(text: str = "The gate is open.") -> Answer:
    slots = tuple(EvidenceSlot("ring", float(k), k + 0.5, 1, "", k) for k in range(3))
    return Answer("front", "Is it open?", text, 100.0, 0.4, slots, {}, Latency(0.0, 0.1, 0.2), "bundled")


def test_an_answer_says_whose_it_is_and_from_when():
    fields = answer_fields(answer_of(), request_id="7", camera="front")
    assert (fields["event_type"], fields["id"], fields["camera"]) == ("answer", "7", "front")
    assert fields["window"] == {"since_seconds": 0.0, "until_seconds": 2.5}
    assert fields["answer"] == fields["short"] == "The gate is open."
    assert len(fields["evidence"]) == 3
    assert json.loads(as_payload(fields)) == fields


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BusyError("b"), "busy"),
        (NotReadyError("n"), "not_ready"),
        (RequestError("r"), "bad_request"),
        (QuestionError("q"), "failed"),
    ],
)
def test_an_error_says_what_kind_it_is(error, code):
    fields = error_fields(error, request_id=None, camera="front", question="q?")
    assert (fields["event_type"], fields["code"], fields["error"]) == ("error", code, str(error))


def test_a_long_answer_is_cut_between_words_for_a_state():
    text = "word " * 100
    assert len(short(text)) <= MOST_SHORT_CHARACTERS
    assert short(text).endswith("word…")
    assert short("x" * 300) == "x" * 254 + "…"
    assert short(" a\n b ") == "a b"
    assert short("y" * 255) == "y" * 255


def test_half_a_character_is_no_reason_to_fail():
    assert json.loads(as_payload({"id": "\ud83d"}))["id"] == "?"
