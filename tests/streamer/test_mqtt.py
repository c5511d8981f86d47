"""Questions over MQTT through a real broker, with the programs that others use."""

import asyncio
import gc
import json
import logging
import random
import signal
import subprocess
import time
from contextlib import suppress

import aiomqtt
import psutil
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from streamer import mqtt_connection
from streamer.backoff import Backoff
from streamer.mqtt_outbox import MOST_WAITING
from tests.rig.broker import Broker
from tests.streamer.mqtt_agent import PICTURE, Answering, bridged, listening

pytestmark = pytest.mark.mqtt

QUESTION = "Is the gate open?"


def pauses() -> Backoff:
    return Backoff(first_seconds=0.05, cap_seconds=0.2)


async def pub(broker: Broker, topic: str, message: str | bytes, *options: str) -> None:
    """As people publish from a shell."""
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", topic, "-s", *options]
    raw = message.encode() if isinstance(message, str) else message
    await asyncio.to_thread(subprocess.run, command, input=raw, check=True, timeout=20)


async def test_a_question_in_plain_text_is_answered_on_the_cameras_own_topic(broker):
    agent = Answering()
    async with listening(broker) as heard:
        async with bridged(broker, agent):
            await heard.until(lambda: heard.on("longwatch/available") == [b"online"])
            await pub(broker, "longwatch/front/ask", QUESTION)
            answer = await heard.one("longwatch/front/answer")
            assert answer["event_type"] == "answer"
            assert answer["answer"] == answer["short"] == f"front: you asked {QUESTION}"
            assert answer["window"] == {"since_seconds": 990.0, "until_seconds": 999.5}
            assert answer["id"] is None
        await heard.until(lambda: heard.on("longwatch/available")[-1] == b"stopped")
    assert agent.put == [("front", QUESTION)]


async def test_what_is_retained_is_there_for_who_comes_later(broker):
    agent = Answering()
    async with bridged(broker, agent):
        async with listening(broker, "longwatch/#") as heard:
            await heard.until(lambda: heard.on("longwatch/yard/snapshot"))
            await pub(broker, "longwatch/front/ask", QUESTION)
            await heard.until(lambda: heard.on("longwatch/front/last_answer"))
        async with listening(broker, "longwatch/#") as later:
            await later.until(lambda: later.on("longwatch/front/last_answer"))
            assert later.on("longwatch/available") == [b"online"]
            assert later.on("longwatch/front/status") == [b"online"]
            assert later.on("longwatch/front/snapshot") == [PICTURE]
            assert later.on("longwatch/yard/snapshot") == [PICTURE + b"yard"]
            assert later.objects("longwatch/front/last_answer")[0]["question"] == QUESTION
            assert not later.on("longwatch/front/answer")


async def test_request_and_response_of_mqtt_5(broker):
    async with bridged(broker, Answering()) as bridge, listening(broker, "longwatch/#") as heard:
        await heard.until(lambda: bridge.connection.is_connected)
        command = ["mosquitto_rr", "-h", "127.0.0.1", "-p", str(broker.port), "-V", "5", "-W", "10", "-N"]
        command += ["-t", "longwatch/yard/ask", "-e", "reply/me/1", "-m", QUESTION]
        command += ["-D", "publish", "correlation-data", "token-17", "-F", "%t %D %p"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=20)
        topic, correlation, payload = done.stdout.split(" ", 2)
        assert (topic, correlation) == ("reply/me/1", "token-17")
        assert json.loads(payload)["answer"] == f"yard: you asked {QUESTION}"
        assert not heard.on("longwatch/yard/answer")  # it was for one
        assert not heard.on("longwatch/yard/last_answer")


async def test_who_asks_in_json_gets_pieces_and_a_topic_of_its_own(broker):
    agent = Answering()
    asked = {
        "id": "a-1",
        "question": QUESTION,
        "response_topic": "reply/x",
        "stream": True,
        "max_tokens": 5,
        "at": "2h",
    }
    async with bridged(broker, agent) as bridge, listening(broker, "reply/#") as heard:
        await heard.until(lambda: bridge.connection.is_connected)
        await pub(broker, "longwatch/front/ask", json.dumps(asked))
        answer = await heard.one("reply/x")
        assert answer["id"] == "a-1"
        pieces = heard.objects("reply/x/partial")
        assert "".join(piece["piece"] for piece in pieces) == answer["answer"]
        assert [(piece["id"], piece["number"]) for piece in pieces] == [("a-1", 0), ("a-1", 1), ("a-1", 2)]
    assert agent.asked[0].max_new_tokens == 5
    assert agent.asked[0].span.until_seconds == pytest.approx(time.time() - 7200, abs=20)


async def test_every_camera_can_be_asked_at_once(broker):
    async with bridged(broker, Answering()) as bridge, listening(broker) as heard:
        await heard.until(lambda: bridge.connection.is_connected)
        await pub(broker, "longwatch/ask", QUESTION)
        for name in ("front", "yard"):
            assert (await heard.one(f"longwatch/{name}/answer"))["camera"] == name
        await pub(broker, "longwatch/ask", json.dumps({"question": QUESTION, "response_topic": "reply/all", "id": 3}))
        await heard.until(lambda: len(heard.on("reply/all")) == 2)
        assert {answer["camera"] for answer in heard.objects("reply/all")} == {"front", "yard"}


@pytest.mark.parametrize(
    ("topic", "payload", "answer_topic", "says"),
    [
        ("longwatch/front/ask", b'{"question": ', "longwatch/front/answer", "begins like JSON"),
        ("longwatch/front/ask", b"\x00\xff\xfe\x80", "longwatch/front/answer", "not UTF-8"),
        ("longwatch/front/ask", b"x" * 10_000_000, "longwatch/front/answer", "more than 16384 bytes"),
        ("longwatch/front/ask", b"   ", "longwatch/front/answer", "the question is empty"),
        ("longwatch/front/ask", b"x" * 600, "longwatch/front/answer", "has 600 characters"),
        (
            "longwatch/street/ask",
            b"Hello?",
            "longwatch/street/answer",
            "no camera 'street'; the agent watches front, yard",
        ),
        ("longwatch/ask", b"{}", "longwatch/answer", "question: expected text"),
        (
            "longwatch/front/ask",
            b'{"question": "q", "response_topic": "$SYS/broker"}',
            "longwatch/front/answer",
            "no answer may be sent to that response topic",
        ),
        (
            "longwatch/front/ask",
            b'{"question": "q", "response_topic": "homeassistant/device/x/config"}',
            "longwatch/front/answer",
            "no answer may be sent",
        ),
        (
            "longwatch/front/ask",
            b'{"question": "q", "response_topic": "reply/#"}',
            "longwatch/front/answer",
            "no answer may be sent",
        ),
        ("longwatch/front/ask", b'{"question": "please fail"}', "longwatch/front/answer", "the model failed"),
        (
            "longwatch/front/ask",
            b'{"question": "", "response_topic": "reply/y", "id": 4}',
            "reply/y",
            "the question is empty",
        ),
    ],
)
async def test_bad_input_gets_one_error_and_one_line_and_nothing_else(
    broker, caplog, topic, payload, answer_topic, says
):
    async with (
        bridged(broker, Answering(), discovery=False) as bridge,
        listening(broker, "longwatch/#", "reply/#") as heard,
    ):
        await heard.until(lambda: heard.on("longwatch/yard/snapshot") and bridge.connection.is_connected)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            await pub(broker, topic, payload)
            error = await heard.one(answer_topic)
            assert error["event_type"] == "error"
            assert says in error["error"]
            heard.heard.clear()
            await pub(broker, "longwatch/yard/ask", QUESTION)
            await heard.one("longwatch/yard/answer")
        assert sum("MQTT" in record.message for record in caplog.records) == 1
        heard_topics = {str(message.topic) for message in heard.heard}
        assert heard_topics <= {
            topic,
            "longwatch/yard/ask",
            "longwatch/yard/answer",
            "longwatch/yard/last_answer",
            "longwatch/yard/snapshot",
        }


async def test_a_hostile_response_topic_of_mqtt_5_is_not_written_to(broker):
    async with bridged(broker, Answering()) as bridge, listening(broker, protocol=aiomqtt.ProtocolVersion.V5) as heard:
        await heard.until(lambda: bridge.connection.is_connected)
        for topic in ("homeassistant/status", "longwatch/front/status", "elsewhere"):
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic, properties.CorrelationData = topic, b"abc"
            await heard.client.publish("longwatch/front/ask", QUESTION, qos=1, properties=properties)
        await heard.until(lambda: len(heard.on("longwatch/front/answer")) == 3)
        assert all(error["code"] == "bad_request" for error in heard.objects("longwatch/front/answer"))
        assert {
            message.properties.CorrelationData for message in heard.heard if message.topic.matches("+/front/answer")
        } == {b"abc"}
        assert not heard.on("elsewhere")
        assert not heard.on("homeassistant/status")


async def test_a_retained_question_is_ignored_and_a_late_one_refused(broker):
    agent = Answering()
    await pub(broker, "longwatch/front/ask", "From long ago?", "-r")
    async with listening(broker, "longwatch/+/answer") as heard, bridged(broker, agent) as bridge:
        await heard.until(lambda: bridge.connection.is_connected)
        late = {"question": QUESTION, "asked_at": time.time() - 100}
        await pub(broker, "longwatch/front/ask", json.dumps(late))
        assert "100 s ago" in (await heard.one("longwatch/front/answer"))["error"]
    assert not agent.put


async def test_a_full_queue_answers_busy_at_once(broker):
    agent = Answering(seconds=4.0, most=3)
    async with listening(broker, "longwatch/+/answer") as heard, bridged(broker, agent) as bridge:
        await heard.until(lambda: bridge.connection.is_connected)
        for number in range(5):
            await heard.client.publish("longwatch/front/ask", json.dumps({"id": number, "question": QUESTION}), qos=1)
        await heard.until(lambda: len(heard.on("longwatch/front/answer")) == 2, seconds=3.0)
        assert {error["code"] for error in heard.objects("longwatch/front/answer")} == {"busy"}
        await heard.until(lambda: len(heard.on("longwatch/front/answer")) == 5)
        assert {answer["id"] for answer in heard.objects("longwatch/front/answer")} == {0, 1, 2, 3, 4}


async def test_too_many_questions_on_a_topic_are_told_busy_and_others_are_not(broker):
    async with (
        listening(broker, "longwatch/+/answer") as heard,
        bridged(broker, Answering(most=100), questions_per_minute=5) as bridge,
    ):
        await heard.until(lambda: bridge.connection.is_connected)
        for _ in range(8):
            await heard.client.publish("longwatch/front/ask", QUESTION, qos=1)
        await heard.client.publish("longwatch/yard/ask", QUESTION, qos=1)
        await heard.until(lambda: len(heard.heard) == 9)
        kinds = [answer["event_type"] for answer in heard.objects("longwatch/front/answer")]
        assert sorted(kinds) == ["answer"] * 5 + ["error"] * 3
        assert heard.objects("longwatch/yard/answer")[0]["event_type"] == "answer"


async def test_the_same_id_is_put_once_and_gets_the_same_answer_again(broker):
    agent = Answering(seconds=0.3)
    asked = json.dumps({"id": "same", "question": QUESTION})
    async with listening(broker, "longwatch/+/answer") as heard, bridged(broker, agent) as bridge:
        await heard.until(lambda: bridge.connection.is_connected)
        await heard.client.publish("longwatch/front/ask", asked, qos=1)
        await heard.client.publish("longwatch/front/ask", asked, qos=1)
        first = await heard.one("longwatch/front/answer")
        await heard.client.publish("longwatch/front/ask", asked, qos=1)
        await heard.until(lambda: len(heard.heard) == 2)
        assert heard.objects("longwatch/front/answer") == [first, first]
        await heard.client.publish("longwatch/yard/ask", asked, qos=1)  # another camera is another question
        await heard.one("longwatch/yard/answer")
    assert agent.put == [("front", QUESTION), ("yard", QUESTION)]


async def test_a_camera_is_told_of_as_it_changes(broker):
    agent = Answering()
    async with listening(broker, "longwatch/+/status") as heard, bridged(broker, agent):
        await heard.until(lambda: heard.on("longwatch/front/status") == [b"online"])
        for status, told in (
            ("stale", b"offline"),
            ("offline", b"offline"),
            ("live", b"online"),
            ("disabled", b"disabled"),
        ):
            agent.cameras[0].state.status = status
            await heard.until(lambda told=told: heard.on("longwatch/front/status")[-1] == told)
        assert heard.on("longwatch/front/status") == [b"online", b"offline", b"online", b"disabled"]
        assert heard.on("longwatch/yard/status") == [b"online"]


async def test_stats_are_told_now_and_then(broker):
    async with listening(broker, "longwatch/stats") as heard, bridged(broker, Answering(), stats_seconds=0.5):
        await heard.until(lambda: len(heard.on("longwatch/stats")) >= 2)
        stats = heard.objects("longwatch/stats")[-1]
        assert stats["cameras"]["front"]["status"] == "live"
        assert stats["mqtt"]["num_connections"] == 1


async def test_a_cancellation_that_the_client_swallows_ends_it_all_the_same(broker, monkeypatch):
    """As `asyncio.wait_for` of Python 3.11 does, where the reply comes at the same moment."""
    publish = aiomqtt.Client.publish
    swallowed: list[str] = []

    async def swallowing(self: aiomqtt.Client, topic: str, *arguments: object, **options: object) -> None:
        await publish(self, topic, *arguments, **options)
        if topic == "longwatch/slow":
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(5)
            swallowed.append(topic)

    monkeypatch.setattr(aiomqtt.Client, "publish", swallowing)
    async with asyncio.timeout(8), listening(broker, "longwatch/#") as heard:
        async with bridged(broker, Answering()) as bridge:
            await heard.until(lambda: bridge.connection.is_connected)
            bridge.outbox.publish("longwatch/slow", b"x")
            await heard.until(lambda: heard.on("longwatch/slow"))
        await heard.until(lambda: heard.on("longwatch/available")[-1] == b"stopped")
    assert swallowed == ["longwatch/slow"]


# A broker that comes and goes.


async def test_a_broker_that_is_down_at_start_is_tried_until_it_is_there(broker, caplog):
    broker.stop()
    with caplog.at_level(logging.INFO):
        async with bridged(broker, Answering()) as bridge:
            bridge.connection.make_pauses = pauses
            await asyncio.sleep(1.5)
            assert not bridge.connection.is_connected
            broker.start()
            async with listening(broker, "longwatch/available") as heard:
                await heard.until(lambda: heard.on("longwatch/available") == [b"online"])
    told = [record.message for record in caplog.records if "cannot be reached" in record.message]
    assert told == [f"the broker at 127.0.0.1:{broker.port} cannot be reached: Connection refused; tried again"]


async def test_answers_that_were_made_meanwhile_come_after(broker):
    agent = Answering(seconds=0.5)
    async with bridged(broker, agent) as bridge:
        bridge.connection.make_pauses = pauses
        async with listening(broker, "longwatch/#") as heard:
            await heard.until(lambda: bridge.connection.is_connected)
            await heard.client.publish("longwatch/front/ask", QUESTION, qos=1)
            await heard.until(lambda: agent.put)
            broker.kill()
        await asyncio.sleep(1.0)
        broker.start()
        async with listening(broker, "longwatch/#") as heard:
            await heard.until(lambda: heard.on("longwatch/front/answer") and heard.on("longwatch/yard/status"))
            assert heard.objects("longwatch/front/answer")[0]["question"] == QUESTION
            assert heard.on("longwatch/available") == [b"online"]
            await heard.until(lambda: heard.on("longwatch/front/last_answer"))


async def test_of_what_waits_the_newest_are_kept_and_what_is_lost_is_counted(broker):
    broker.stop()
    async with bridged(broker, Answering(), discovery=False) as bridge:
        for number in range(MOST_WAITING + 10):
            bridge.outbox.publish("longwatch/front/answer", str(number).encode())
        assert bridge.outbox.num_dropped == 10
        broker.start()
        bridge.connection.make_pauses = pauses
        async with listening(broker, "longwatch/front/answer") as heard:
            await heard.until(
                lambda: heard.on("longwatch/front/answer") and b"265" in heard.on("longwatch/front/answer")
            )
            told = [int(payload) for payload in heard.on("longwatch/front/answer")]
            assert told == sorted(told)
            assert told[-1] == MOST_WAITING + 9


async def test_a_changed_password_is_told_and_tried_until_it_is_right(broker, caplog):
    broker.stop()
    broker.set_password("longwatch", "first")
    broker.set_password("other", "o")
    broker.start()
    with caplog.at_level(logging.INFO):
        async with bridged(broker, Answering(), user="longwatch", password="first") as bridge:
            bridge.connection.make_pauses = pauses
            async with listening(broker, "longwatch/available", username="other", password="o") as heard:
                await heard.until(lambda: heard.on("longwatch/available") == [b"online"])
            broker.stop()
            broker.set_password("longwatch", "second")
            broker.start()
            await asyncio.sleep(1.5)
            assert not bridge.connection.is_connected
            broker.stop()
            broker.set_password("longwatch", "first")
            broker.start()
            async with listening(broker, "longwatch/available", username="other", password="o") as heard:
                await heard.until(lambda: bridge.connection.is_connected)
                assert bridge.connection.num_connections == 2
    assert any("refuses user, password or client" in record.message for record in caplog.records)
    assert "first" not in caplog.text
    assert "second" not in caplog.text


async def test_a_picture_that_the_broker_does_not_take_is_set_aside_and_all_else_goes_on(broker, caplog):
    broker.stop()
    broker.more = "max_packet_size 10000"
    broker.start()
    agent = Answering(picture=b"\xff\xd8" + b"x" * 30_000)
    async with bridged(broker, agent, discovery=False) as bridge:
        bridge.connection.make_pauses = pauses
        async with listening(broker, "longwatch/#") as heard:
            await heard.until(lambda: "does not take longwatch/yard/snapshot" in caplog.text, seconds=20)
            await heard.until(lambda: "does not take longwatch/front/snapshot" in caplog.text, seconds=20)
            await heard.until(lambda: bridge.connection.is_connected)
            await asyncio.sleep(0.3)
            num_connections = bridge.connection.num_connections
            await heard.client.publish("longwatch/front/ask", QUESTION, qos=1)
            await heard.one("longwatch/front/answer")
            await heard.until(lambda: heard.on("longwatch/front/last_answer"))
            await asyncio.sleep(0.5)
            assert bridge.connection.num_connections == num_connections
        async with listening(broker, "longwatch/#") as later:
            await later.until(lambda: later.on("longwatch/yard/status") == [b"online"])
            assert not later.on("longwatch/yard/snapshot")


async def test_a_broker_that_hangs_is_left_and_the_answer_comes_when_it_goes_on(broker, monkeypatch):
    monkeypatch.setattr(mqtt_connection, "REPLY_SECONDS", 1.0)
    agent = Answering(seconds=0.5)
    async with bridged(broker, agent) as bridge:
        bridge.connection.make_pauses = pauses
        async with listening(broker, "longwatch/+/answer") as heard:
            await heard.until(lambda: bridge.connection.is_connected)
            await heard.client.publish("longwatch/front/ask", QUESTION, qos=1)
            await heard.until(lambda: agent.put)
            broker.process.send_signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(15):
                    while bridge.connection.is_connected:  # noqa: ASYNC110 - no event says so
                        await asyncio.sleep(0.05)
            finally:
                broker.process.send_signal(signal.SIGCONT)
            await heard.until(lambda: heard.on("longwatch/front/answer"), seconds=20)
            assert {answer["question"] for answer in heard.objects("longwatch/front/answer")} == {QUESTION}
    assert len(agent.put) == 1


async def test_fifty_restarts_under_load_lose_no_question(broker):
    """Who has no answer asks again under the same id, as `ask --mqtt` does; each is put once, and answered alike."""
    agent, chance = Answering(seconds=0.05, most=1000), random.Random(7)
    async with bridged(broker, agent, questions_per_minute=100_000, discovery=False) as bridge:
        bridge.connection.make_pauses = pauses
        while not bridge.connection.is_connected:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        num_files, num_tasks = psutil.Process().num_fds(), len(asyncio.all_tasks())
        asker = Asker(broker)
        asking = asyncio.get_running_loop().create_task(asker.run())
        try:
            for number in range(50):
                await asyncio.sleep(chance.uniform(0.0, 0.3))
                (broker.kill if number % 2 else broker.stop)()
                await asyncio.sleep(chance.uniform(0.0, 0.05))
                broker.start()
            asker.is_over = True
            async with asyncio.timeout(60):
                await asking
        finally:
            asking.cancel()
        gc.collect()
        assert psutil.Process().num_fds() <= num_files + 2
        assert len(asyncio.all_tasks()) <= num_tasks + 1
    assert len(asker.asked) > 100
    assert set(asker.answers) == asker.asked
    assert all(len(answers) == 1 for answers in asker.answers.values())
    put = [question for _, question in agent.put]
    assert len(put) == len(set(put))
    assert set(put) >= asker.asked
    assert bridge.connection.num_connections >= 10


class Asker:
    """Asks a question every 5 ms, whose words are its id, and what is not answered again at each connection."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.asked: set[str] = set()
        self.answers: dict[str, set[bytes]] = {}
        self.is_over = False

    async def run(self) -> None:
        while not (self.is_over and set(self.answers) == self.asked):
            try:
                async with aiomqtt.Client("127.0.0.1", self._broker.port, timeout=2) as client:
                    await client.subscribe("reply/load", qos=1)
                    for name in self.asked - set(self.answers):
                        await self._ask(client, name)
                    async with asyncio.TaskGroup() as group:
                        listening = group.create_task(self._listen(client))
                        await self._ask_on(client)
                        listening.cancel()
            except (aiomqtt.MqttError, ExceptionGroup):
                await asyncio.sleep(0.02)

    async def _ask_on(self, client: aiomqtt.Client) -> None:
        """For at most a second after the last question was asked: then it is asked again."""
        since = time.monotonic()
        while not self.is_over or (set(self.answers) != self.asked and time.monotonic() - since < 1.0):
            if not self.is_over:
                name = f"question {len(self.asked)}"
                self.asked.add(name)
                await self._ask(client, name)
                since = time.monotonic()
            await asyncio.sleep(0.005)

    async def _ask(self, client: aiomqtt.Client, name: str) -> None:
        asked = {"id": name, "question": name, "response_topic": "reply/load"}
        await client.publish("longwatch/front/ask", json.dumps(asked), qos=1)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            answer = json.loads(message.payload)
            self.answers.setdefault(answer["id"], set()).add(bytes(message.payload))
