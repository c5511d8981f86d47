"""An agent that watches the yard is asked over MQTT, from the settings to the answer on the command line."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llm.huggingface import HuggingFaceModel
from streamer.agent import run_agent
from streamer.settings import Settings
from tests.conftest import REPO
from tests.rig.broker import Broker
from tests.streamer.mqtt_agent import Listener, listening
from tests.streamer.test_mqtt import QUESTION, pub

pytestmark = pytest.mark.mqtt


def settings_of(broker: Broker, **mqtt: object) -> Settings:
    cameras = {"yard": {"url": "demo://yard?lively=1", "fps": 2}, "off": {"url": "demo://yard", "enabled": False}}
    return Settings.model_validate({"cameras": cameras, "mqtt": {"host": "127.0.0.1", "port": broker.port, **mqtt}})


async def test_the_yard_is_asked_over_mqtt(broker, bundled):
    async with listening(broker) as heard:
        await _ask_the_yard(broker, bundled, heard)
        await heard.until(lambda: heard.on("longwatch/available") == [b"online", b"stopped"])


async def _ask_the_yard(broker: Broker, bundled: HuggingFaceModel, heard: Listener) -> None:
    async with run_agent(settings_of(broker), bundled) as agent:
        assert await agent.wait_for_frame(0, timeout_seconds=15)
        await heard.until(
            lambda: b"online" in heard.on("longwatch/yard/status") and heard.on("longwatch/yard/snapshot")
        )
        assert heard.on("longwatch/off/status") == [b"disabled"]
        assert heard.on("longwatch/yard/snapshot")[0].startswith(b"\xff\xd8")
        assert heard.on("homeassistant/device/longwatch_yard/config")
        await pub(broker, "longwatch/yard/ask", json.dumps({"id": 1, "question": QUESTION, "stream": True}))
        answer = await heard.one("longwatch/yard/answer", seconds=30)
        assert answer["answer"].startswith("The gate is ")
        assert answer["evidence"][-1]["tier"] == "ring"
        pieces = "".join(piece["piece"] for piece in heard.objects("longwatch/yard/answer/partial"))
        assert pieces.strip() == answer["answer"]
        await pub(broker, "longwatch/yard/ask", json.dumps({"id": 2, "question": QUESTION, "max_tokens": 1}))
        await heard.until(lambda: len(heard.on("longwatch/yard/answer")) == 2)
        assert len(heard.objects("longwatch/yard/answer")[-1]["answer"]) < len(answer["answer"])
        await pub(broker, "longwatch/off/ask", QUESTION)
        assert (await heard.one("longwatch/off/answer"))["code"] == "not_ready"
        await heard.until(lambda: heard.on("longwatch/stats"))
        assert heard.objects("longwatch/stats")[-1]["cameras"]["yard"]["status"] == "live"


async def test_a_broker_that_is_not_there_disturbs_nothing(broker, bundled):
    broker.stop()
    async with run_agent(settings_of(broker), bundled) as agent:
        assert await agent.wait_for_frame(0, timeout_seconds=15)
        assert (await agent.ask(0, QUESTION).answer()).answer.startswith("The gate is ")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPO / "run_stream.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def watching(config: Path, said: list[str]) -> Iterator[subprocess.Popen[str]]:
    """An agent of its own; what it said by its end goes to `said`."""
    command = [sys.executable, str(REPO / "run_stream.py"), "watch", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        said.append(process.communicate(timeout=10)[0])


async def test_a_whole_agent_is_asked_from_the_command_line_and_its_end_is_told(broker: Broker, tmp_path: Path):
    broker.stop()
    broker.set_password("me", "p@ss/word")
    broker.start()
    config = tmp_path / "cameras.yaml"
    config.write_text(
        f"cameras: {{yard: 'demo://yard?lively=1'}}\n"
        f"mqtt: {{host: 127.0.0.1, port: {broker.port}, user: me, password: 'p@ss/word', topic_prefix: home/lw}}\n"
    )
    url = f"mqtt://me:p%40ss%2Fword@127.0.0.1:{broker.port}/home/lw"
    said: list[str] = []
    async with listening(broker, "home/lw/#", username="me", password="p@ss/word") as heard:
        with watching(config, said) as process:
            await heard.until(lambda: b"online" in heard.on("home/lw/yard/status"), seconds=60)
            await heard.until(lambda: heard.on("home/lw/yard/snapshot"), seconds=20)
            asked = await asyncio.to_thread(run, "ask", "--mqtt", url, "yard", QUESTION)
            assert asked.returncode == 0, asked.stderr
            assert asked.stdout.startswith("The gate is ")
            assert "frames in" in asked.stdout
            asked = await asyncio.to_thread(run, "ask", "--mqtt", url, "yard", QUESTION, "--json")
            assert json.loads(asked.stdout)["camera"] == "yard"
            asked = await asyncio.to_thread(run, "ask", "--mqtt", url, "barn", QUESTION)
            assert (asked.returncode, asked.stdout) == (1, "")
            assert "there is no camera 'barn'" in asked.stderr
            process.kill()
            await heard.until(lambda: heard.on("home/lw/available") == [b"online", b"offline"])
        with watching(config, said) as process:
            await heard.until(lambda: heard.on("home/lw/available")[-1] == b"online", seconds=60)
            process.terminate()
            await heard.until(lambda: heard.on("home/lw/available")[2:] == [b"online", b"stopped"])
    assert all(f"connected to the broker at 127.0.0.1:{broker.port}" in each for each in said)
    assert not any("p@ss" in each for each in said)


def test_wrong_calls_are_told_without_the_password():
    began = time.monotonic()
    asked = run("ask", "--mqtt", "http://me:secret@127.0.0.1", "yard", QUESTION)
    assert asked.returncode == 2
    assert "expected like mqtt://HOST:1883" in " ".join(asked.stderr.split())
    refused = run("ask", "--mqtt", "mqtt://me:secret@127.0.0.1:1", "yard", QUESTION)
    assert refused.returncode == 1
    assert "the broker at 127.0.0.1:1 cannot be reached" in " ".join(refused.stderr.split())
    both = run("ask", "--mqtt", "mqtt://me:secret@127.0.0.1:1", "yard", QUESTION, "--model", "bundled")
    assert both.returncode == 2
    assert "secret" not in asked.stderr + refused.stderr + both.stderr
    assert time.monotonic() - began < 60
