"""Which topics are questions, and where an answer may go."""

import pytest

from streamer.mqtt_topics import Topics

TOPICS = Topics("home/longwatch", ("reply/",))


@pytest.mark.parametrize(
    ("topic", "camera"),
    [
        ("home/longwatch/ask", ""),
        ("home/longwatch/front/ask", "front"),
        ("home/longwatch/back-yard_2/ask", "back-yard_2"),
        ("home/longwatch/front/answer", None),
        ("home/longwatch/a/b/ask", None),
        ("home/longwatch//ask", None),
        ("home/longwatch/Front door/ask", None),
        ("longwatch/front/ask", None),
        ("home/longwatch/front/ask/ask", None),
        ("", None),
    ],
)
def test_a_question_is_put_to_the_camera_of_its_topic(topic, camera):
    assert TOPICS.asked_camera(topic) == camera


@pytest.mark.parametrize(
    "topic", ["reply/a", "reply/deep/er", "home/longwatch/front/answer", "home/longwatch/reply/é", "home/longwatch/x"]
)
def test_an_answer_may_go_under_the_allowed_prefixes(topic):
    assert TOPICS.may_answer_on(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "reply/",
        "reply",
        "$SYS/broker/uptime",
        "homeassistant/device/x/config",
        "home/longwatchers/x",
        "reply/+",
        "reply/#",
        "reply/a\x00b",
        "reply/a\nb",
        "reply/\ud800",
        "reply/" + "a" * 2000,
        "home/longwatch/available",
        "home/longwatch/front/status",
        "home/longwatch/front/ask",
        "home/longwatch/ask",
        "home/longwatch/front/last_answer",
        "home/longwatch/front/watch/parcel/state",
    ],
)
def test_and_to_no_other_one(topic):
    assert not TOPICS.may_answer_on(topic)


def test_what_is_retained_of_a_camera():
    assert TOPICS.retained("front") == (
        "home/longwatch/front/status",
        "home/longwatch/front/last_answer",
        "home/longwatch/front/snapshot",
    )
