"""A question that comes twice is put once."""

from streamer import mqtt_recent
from streamer.mqtt_recent import MOST, RecentQuestions


def test_the_same_question_is_known_until_it_got_no_answer():
    recent = RecentQuestions()
    assert recent.begin("a")
    assert not recent.begin("a")
    assert recent.answer("a") is None
    recent.end("a", b"yes")
    assert recent.answer("a") == b"yes"
    assert not recent.begin("a")
    recent.forget("a")
    assert recent.begin("a")


def test_the_oldest_are_forgotten(monkeypatch):
    recent = RecentQuestions()
    for number in range(MOST + 5):
        assert recent.begin(number)
    assert recent.begin(4)
    assert not recent.begin(MOST)
    now = mqtt_recent.time.monotonic()
    monkeypatch.setattr(mqtt_recent.time, "monotonic", lambda: now + mqtt_recent.SECONDS + 1)
    assert recent.begin(MOST)


def test_an_answer_to_what_is_forgotten_is_nothing():
    recent = RecentQuestions()
    recent.end("a", b"yes")
    recent.forget("a")
    assert recent.answer("a") is None
