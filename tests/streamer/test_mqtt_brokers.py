"""Brokers of all kinds: with TLS, with an ACL, one that knows no MQTT 5; and Home Assistant and Frigate beside us."""

import asyncio
import json
import logging
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from streamer import mqtt as mqtt_module
from streamer.backoff import Backoff
from streamer.errors import QuestionError
from streamer.homeassistant import device_config, device_topic
from streamer.mqtt_client import BrokerAddress, ask_broker
from tests.conftest import REPO
from tests.rig.broker import Broker
from tests.rig.servers import free_port
from tests.streamer.home_assistant_rules import entities_of
from tests.streamer.mqtt_agent import Answering, bridged, listening
from tests.streamer.test_frigate import EVENT, REVIEW
from tests.streamer.test_mqtt import QUESTION, pauses

pytestmark = pytest.mark.mqtt


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A CA, a server's certificate for localhost, a client's, and a CA that signed neither."""
    folder = tmp_path_factory.mktemp("certificates")
    for ca in ("ca", "other"):
        files = ("-keyout", f"{folder}/{ca}.key", "-out", f"{folder}/{ca}.pem")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=the {ca}", *files)
    signer = ("-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-days", "2")
    for name, names in (("server", "DNS:localhost,IP:127.0.0.1"), ("client", "DNS:client")):
        (folder / f"{name}.ext").write_text(f"subjectAltName={names}")
        path = f"{folder}/{name}"
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{path}.key",
            "-out",
            f"{path}.csr",
        )
        openssl("x509", "-req", "-in", f"{path}.csr", *signer, "-extfile", f"{path}.ext", "-out", f"{path}.pem")
    return folder


@pytest.fixture
def tls_broker(tmp_path, certificates):
    broker = Broker(
        tmp_path,
        free_port(),
        tls={
            "cafile": certificates / "ca.pem",
            "certfile": certificates / "server.pem",
            "keyfile": certificates / "server.key",
        },
    )
    yield broker
    broker.stop()


def trusting(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    return context


@pytest.mark.parametrize("wants_client", [False, True])
async def test_with_tls_questions_are_answered(tls_broker, certificates, wants_client):
    tls_broker.more = "require_certificate true" if wants_client else ""
    tls_broker.start()
    keys = {"tls_client_cert": certificates / "client.pem", "tls_client_key": certificates / "client.key"}
    async with (
        listening(tls_broker, "longwatch/#", tls_context=trusting(certificates)) as heard,
        bridged(tls_broker, Answering(), tls_ca_certs=certificates / "ca.pem", **(keys if wants_client else {})),
    ):
        await heard.until(lambda: heard.on("longwatch/available") == [b"online"])
        await heard.client.publish("longwatch/front/ask", QUESTION, qos=1)
        assert (await heard.one("longwatch/front/answer"))["question"] == QUESTION


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client's socket, closed as it goes
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tls_ca_certs": "other.pem"}, "CERTIFICATE_VERIFY_FAILED"),
        ({"tls": True}, "CERTIFICATE_VERIFY_FAILED"),
        ({"tls_ca_certs": "nothing.pem"}, "No such file"),
        ({}, "Connection reset|timed out|Connection refused|lost|Disconnected"),
    ],
)
async def test_a_broker_that_cannot_be_trusted_is_told_once_and_nothing_is_sent(
    tls_broker, certificates, caplog, settings, why
):
    tls_broker.start()
    given = {key: certificates / value if isinstance(value, str) else value for key, value in settings.items()}
    async with bridged(tls_broker, Answering(), **given) as bridge:
        bridge.connection.make_pauses = pauses
        async with asyncio.timeout(10):
            while "cannot be reached" not in caplog.text:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.05)
        assert not bridge.connection.is_connected
    assert any(word in caplog.text for word in why.split("|"))


async def test_without_a_check_any_certificate_will_do(tls_broker, certificates):
    tls_broker.start()
    async with (
        listening(tls_broker, "longwatch/available", tls_context=trusting(certificates)) as heard,
        bridged(tls_broker, Answering(), tls_insecure=True),
    ):
        await heard.until(lambda: heard.on("longwatch/available") == [b"online"])


@pytest.fixture
def guarded(tmp_path):
    """A broker whose users may do what docs/mosquitto.acl says."""
    users = {name: f"{name}-password" for name in ("longwatch", "homeassistant", "asker")}
    broker = Broker(tmp_path, free_port(), users=users, acl=(REPO / "docs" / "mosquitto.acl").read_text())
    broker.start()
    yield broker
    broker.stop()


def as_user(name: str) -> dict[str, str]:
    return {"username": name, "password": f"{name}-password"}


async def test_the_documented_acl_is_enough_for_all_and_no_more(guarded, caplog):
    user = {"user": "longwatch", "password": "longwatch-password", "frigate": {}}
    async with (
        listening(guarded, "longwatch/#", "homeassistant/#", **as_user("homeassistant")) as home,
        bridged(guarded, Answering(), **user) as bridge,
    ):
        await home.until(lambda: home.on("longwatch/front/snapshot"))
        assert home.on(device_topic("homeassistant", "longwatch", "front"))
        await home.client.publish("longwatch/front/ask", QUESTION, qos=1)
        await home.one("longwatch/front/answer")
        said: list[str] = []
        address = BrokerAddress.parse(f"mqtt://asker:asker-password@127.0.0.1:{guarded.port}")
        answer = await ask_broker(address, "yard", QUESTION, None, say=said.append)
        assert answer["answer"] == "".join(said) == f"yard: you asked {QUESTION}"
        async with listening(guarded, "#", **as_user("asker")) as spy:
            await spy.client.publish("longwatch/front/status", b"offline", qos=1, retain=True)
            await spy.client.publish("homeassistant/status", b"online", qos=1)
            await home.client.publish("longwatch/front/ask", QUESTION, qos=1)
            await home.until(lambda: len(home.on("longwatch/front/answer")) == 2)
            assert home.on("longwatch/front/status") == [b"online"]
            assert {str(message.topic) for message in spy.heard} <= {"longwatch/available"}
        assert bridge.connection.is_connected
    assert "does not let us read" not in caplog.text


async def test_an_acl_that_forbids_to_read_is_told(guarded, caplog):
    guarded.stop()
    guarded.acl = "user longwatch\ntopic write longwatch/#\n"
    guarded.start()
    async with bridged(guarded, Answering(), user="longwatch", password="longwatch-password") as bridge:
        async with asyncio.timeout(10):
            while not bridge.connection.is_connected:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.05)
    # Mosquitto accepts such a subscription, and then sends nothing; others refuse it.
    assert "cannot be reached" not in caplog.text


class OldBroker:
    """Before a real broker: whoever speaks MQTT 5 is told that it is not known."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.port = free_port()
        self.levels: list[int] = []

    async def __aenter__(self) -> "OldBroker":
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(4096)
        self.levels.append(first[first.index(b"MQTT") + 4])
        if self.levels[-1] == 5:
            writer.write(b"\x20\x03\x00\x84\x00")
            await writer.drain()
            writer.close()
            return
        there, out = await asyncio.open_connection("127.0.0.1", self._broker.port)
        out.write(first)
        await asyncio.gather(self._pass(reader, out), self._pass(there, writer))

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()


async def test_a_broker_that_knows_no_mqtt_5_is_spoken_to_in_3_1_1(broker, caplog):
    with caplog.at_level(logging.INFO):
        async with OldBroker(broker) as old, listening(broker, "longwatch/#", "reply/#") as heard:
            async with bridged(broker, Answering(), port=old.port):
                await heard.until(lambda: heard.on("longwatch/available") == [b"online"])
                asked = {"question": QUESTION, "response_topic": "reply/z"}
                await heard.client.publish("longwatch/front/ask", json.dumps(asked), qos=1)
                assert (await heard.one("reply/z"))["question"] == QUESTION
            assert old.levels == [5, 4]
    assert "knows no MQTT 5" in caplog.text


# Home Assistant.


async def test_home_assistant_is_told_again_when_it_has_started(broker, monkeypatch):
    monkeypatch.setattr(mqtt_module, "BIRTH_SECONDS", 0.3)
    topic = device_topic("homeassistant", "longwatch", "front")
    async with listening(broker, "homeassistant/#", "longwatch/+/status") as heard, bridged(broker, Answering()):
        await heard.until(lambda: heard.on(topic) and heard.on("longwatch/yard/status"))
        (config,) = heard.objects(topic)
        assert entities_of(topic, config)
        heard.heard.clear()
        await heard.client.publish("homeassistant/status", b"online", qos=0)
        await heard.until(lambda: heard.on(topic) and heard.on("longwatch/yard/status"))
        assert heard.objects(topic) == [config]


async def test_a_camera_that_is_no_more_goes_and_what_others_made_stays(broker):
    gone = device_config("gone", topic_prefix="longwatch", version="0")
    others = device_config("gone", topic_prefix="cabin", version="0")
    foreign = {"o": {"name": "Frigate"}, "dev": {}, "cmps": {}, "avty": [{"t": "longwatch/available"}]}
    topics = [device_topic("homeassistant", prefix, "gone") for prefix in ("longwatch", "cabin")]
    async with listening(broker) as heard:
        for topic, told in zip([*topics, "homeassistant/device/frigate/config"], (gone, others, foreign), strict=True):
            await heard.client.publish(topic, json.dumps(told), qos=1, retain=True)
        for topic in (
            "longwatch/gone/last_answer",
            "longwatch/gone/snapshot",
            "longwatch/gone/status",
            "cabin/gone/status",
        ):
            await heard.client.publish(topic, b"x", qos=1, retain=True)
        await heard.until(lambda: len(heard.heard) == 7)
        heard.heard.clear()
        async with bridged(broker, Answering()):
            await heard.until(lambda: heard.on("longwatch/gone/snapshot") == [b""])
    async with listening(broker) as later:
        await later.until(lambda: later.on("longwatch/available"))
        there = {str(message.topic) for message in later.heard}
    assert topics[0] not in there
    assert not {topic for topic in there if topic.startswith("longwatch/gone")}
    assert {topics[1], "homeassistant/device/frigate/config", "cabin/gone/status"} <= there


async def test_without_discovery_home_assistant_is_told_nothing(broker):
    async with listening(broker) as heard, bridged(broker, Answering(), discovery=False):
        await heard.until(lambda: heard.on("longwatch/yard/snapshot"))
        assert not any(str(message.topic).startswith("homeassistant") for message in heard.heard)


# Frigate.


def happened(told: dict, *, seconds_ago: float) -> str:
    """The same, lately."""
    now = time.time()
    times = {"start_time": now - seconds_ago, "end_time": now - seconds_ago + 5}
    return json.dumps({**told, "after": {**told["after"], **times}})


async def test_what_frigate_saw_is_asked_about_and_the_answer_published(broker):
    agent = Answering(names=("front",))
    frigate = {"topic": "frigate/events", "question": "What did the {label} do?", "cameras": {"front_door": "front"}}
    async with listening(broker, "longwatch/+/answer") as heard, bridged(broker, agent, frigate=frigate) as bridge:
        await heard.until(lambda: bridge.connection.is_connected)
        event = happened(EVENT, seconds_ago=60)
        await heard.client.publish("frigate/events", event, qos=1)
        await heard.client.publish("frigate/events", event, qos=1)  # said twice
        await heard.client.publish("frigate/events", b"\xff not json", qos=1)
        await heard.client.publish(
            "frigate/events", happened(EVENT, seconds_ago=60).replace("front_door", "barn"), qos=1
        )
        answer = await heard.one("longwatch/front/answer")
        assert answer["id"] == f"frigate-{EVENT['after']['id']}-end"
        assert answer["trigger"] == {"source": "frigate", "label": "person", "type": "end"}
        assert answer["question"].startswith("What did the person do? (")
        await asyncio.sleep(0.3)
    assert len(agent.put) == 1


async def test_with_an_archive_its_span_is_asked_once_it_is_there(broker, monkeypatch):
    monkeypatch.setattr(mqtt_module, "ARCHIVED_SECONDS", 1.0)
    agent = Answering(names=("front_door",))
    async with (
        listening(broker, "longwatch/+/answer") as heard,
        bridged(broker, agent, has_archive=True, frigate={"question": "Who?"}) as bridge,
    ):
        await heard.until(lambda: bridge.connection.is_connected)
        asked_seconds = time.monotonic()
        await heard.client.publish("frigate/reviews", happened(REVIEW, seconds_ago=5), qos=1)
        assert (await heard.one("longwatch/front_door/answer"))["question"] == "Who?"
        assert time.monotonic() - asked_seconds > 2.8
    span = agent.asked[0].span
    assert span.until_seconds - span.since_seconds == pytest.approx(12.0, abs=0.1)


# The command line's side.


async def test_a_client_gets_its_answer_across_a_restart_of_the_broker(broker):
    agent = Answering(seconds=1.0)
    async with bridged(broker, agent) as bridge:
        bridge.connection.make_pauses = lambda: Backoff(first_seconds=0.05, cap_seconds=0.2)
        address = BrokerAddress.parse(f"mqtt://127.0.0.1:{broker.port}")
        while not bridge.connection.is_connected:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.05)
        asking = asyncio.get_running_loop().create_task(
            ask_broker(address, "front", QUESTION, None, say=lambda _: None)
        )
        while not agent.put:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.02)
        broker.kill()
        await asyncio.sleep(0.3)
        broker.start()
        async with asyncio.timeout(15):
            assert (await asking)["answer"] == f"front: you asked {QUESTION}"
    assert len(agent.put) == 1


async def test_a_client_is_told_what_is_wrong(broker):
    async def asked(url: str, camera: str = "front") -> str:
        with pytest.raises(QuestionError) as failed:
            await ask_broker(BrokerAddress.parse(url), camera, QUESTION, None, say=lambda _: None)
        return str(failed.value)

    here = f"127.0.0.1:{broker.port}"
    assert "no agent tells the broker" in await asked(f"mqtt://{here}")
    async with listening(broker, "longwatch/available") as heard:
        async with bridged(broker, Answering()):
            await heard.until(lambda: heard.on("longwatch/available"))
            assert "there is no camera 'street'" in await asked(f"mqtt://{here}", "street")
            assert "is no camera's name" in await asked(f"mqtt://{here}", "a/+")
            assert "topic_prefix cabin" in await asked(f"mqtt://{here}/cabin")
        await heard.until(lambda: heard.on("longwatch/available")[-1] == b"stopped")
    assert "does not run now (stopped)" in await asked(f"mqtt://{here}")
    broker.stop()
    assert "cannot be reached" in await asked(f"mqtt://{here}")
    broker.set_password("me", "right")
    broker.start()
    refused = await asked(f"mqtt://me:wrong@{here}")
    assert "refuses user or password" in refused
    assert "wrong" not in refused.replace("wrong password", "")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker", BrokerAddress("broker", 1883, "longwatch", False)),
        ("mqtts://u:p%40ss@broker:8884/home/cams/", BrokerAddress("broker", 8884, "home/cams", True, "u", "p@ss")),
        ("mqtts://[::1]", BrokerAddress("::1", 8883, "longwatch", True)),
    ],
)
def test_an_address_is_read(url, address):
    assert BrokerAddress.parse(url) == address
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(
    "url", ["broker", "http://broker", "mqtt://", "mqtt://h:99999", "mqtt://h/+/x", "mqtt://h?x=1"]
)
def test_what_is_no_address_fails(url):
    with pytest.raises(ValueError, match="expected"):
        BrokerAddress.parse(url)
