"""What MQTT adds to a question, and a hundred of them at once: who is answered, who is told busy, what cameras lose.

`python -m benchmarks.bench_mqtt`; needs Mosquitto, which it starts itself. The asker lives in the agent's own event
loop, so what it takes counts as added too.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import aiomqtt
import numpy as np
import typer
from rich.console import Console

from benchmarks.harness import bundled, environment, write_result
from streamer.agent import Agent, run_agent
from streamer.mqtt_connection import NODELAY
from streamer.settings import Settings
from tests.rig.broker import Broker
from tests.rig.servers import free_port

CAMERAS = 4
QUESTION = "Is the gate open?"
REPLY = "reply/bench"
BURST, BURSTS, BURST_SECONDS = 100, 5, 4.0
NONE_SECONDS = 30.0
_err = Console(stderr=True)


class Asker:
    """Asks over MQTT, and knows when which answer came."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.num_twice = 0

    async def listen(self) -> None:
        async for message in self._client.messages:
            told = json.loads(bytes(message.payload))
            waiting = self._waiting.pop(told["id"], None)
            if waiting is None:
                self.num_twice += 1
            else:
                waiting.set_result(told | {"came_seconds": time.monotonic()})

    async def ask(self, camera: str) -> dict[str, Any] | None:
        """The answer or error, with the seconds that it took; None where none came."""
        name, asked_seconds = uuid.uuid4().hex, time.monotonic()
        self._waiting[name] = waiting = asyncio.get_running_loop().create_future()
        request = {"id": name, "question": QUESTION, "response_topic": REPLY}
        await self._client.publish(f"longwatch/{camera}/ask", json.dumps(request).encode(), qos=1)
        try:
            async with asyncio.timeout(NONE_SECONDS):
                told: dict[str, Any] = await waiting
        except TimeoutError:
            return None
        return {**told, "seconds": told["came_seconds"] - asked_seconds}


def main(num_questions: Annotated[int, typer.Option(min=1, help="Round trips, one after another.")] = 100) -> None:
    """Measures, and writes benchmarks/results/mqtt.json."""
    machine = environment()
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder), free_port())
        broker.start()
        try:
            figures = asyncio.run(measure(broker, num_questions))
        finally:
            broker.stop()
    Console().print(figures)
    _err.print("written to", write_result("mqtt", figures, machine=machine).name)


async def measure(broker: Broker, num_questions: int, *, num_bursts: int = BURSTS) -> dict[str, Any]:
    cameras = {f"yard{number}": f"demo://yard?lively=1&seed={number}" for number in range(1, CAMERAS + 1)}
    mqtt = {"host": "127.0.0.1", "port": broker.port, "questions_per_minute": 100_000}
    async with run_agent(Settings.model_validate({"cameras": cameras, "mqtt": mqtt}), bundled()) as agent:
        for camera in range(CAMERAS):
            await agent.wait_for_frame(camera, timeout_seconds=15)
        await asyncio.sleep(2.0)
        async with _asking(broker) as asker:
            await asker.ask("yard1")
            figures = await _round_trips(agent, asker, num_questions)
            quiet = await _captured(agent, asyncio.sleep(num_bursts * BURST_SECONDS))
            told: Counter[str] = Counter()
            busy = await _captured(agent, _bursts(asker, told, num_bursts))
            return {
                "cameras": CAMERAS,
                **figures,
                "at_once": BURST,
                "bursts": num_bursts,
                "told": dict(told),
                "told_twice": asker.num_twice,
                "frames_per_second": {"quiet": quiet["per_second"], "asked": busy["per_second"]},
                "frames_lost": {"quiet": quiet["num_dropped"], "asked": busy["num_dropped"]},
            }


@asynccontextmanager
async def _asking(broker: Broker) -> AsyncIterator[Asker]:
    async with aiomqtt.Client("127.0.0.1", broker.port, timeout=10, socket_options=NODELAY) as client:
        client.pending_calls_threshold = BURST
        await client.subscribe(REPLY, qos=1)
        asker = Asker(client)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(asker.listen(), name="asker")
            yield asker
            listening.cancel()


async def _round_trips(agent: Agent, asker: Asker, num_questions: int) -> dict[str, Any]:
    """Turn by turn the same question in process and over MQTT."""
    in_process, over, added = [], [], []
    for _ in range(num_questions):
        asked_seconds = time.monotonic()
        await agent.ask(0, QUESTION).answer()
        in_process.append(time.monotonic() - asked_seconds)
        told = await asker.ask("yard1")
        assert told is not None
        over.append(told["seconds"])
        added.append(told["seconds"] - told["latency"]["total_seconds"])
    return {
        "questions": num_questions,
        "in_process_ms": _percentiles(in_process),
        "over_mqtt_ms": _percentiles(over),
        "added_ms": _percentiles(added),
    }


async def _bursts(asker: Asker, told: Counter[str], num_bursts: int) -> None:
    """Each camera a quarter of a hundred questions at once, again and again; `told` counts what came back."""
    for _ in range(num_bursts):
        began = time.monotonic()
        asked = (asker.ask(f"yard{1 + number % CAMERAS}") for number in range(BURST))
        for answer in await asyncio.gather(*asked):
            told[_kind(answer)] += 1
        await asyncio.sleep(max(0.0, BURST_SECONDS - (time.monotonic() - began)))


def _kind(answer: dict[str, Any] | None) -> str:
    if answer is None:
        return "nothing"
    return "answered" if answer["event_type"] == "answer" else str(answer["code"])


async def _captured(agent: Agent, meanwhile: Any) -> dict[str, Any]:
    """Frames of each camera in a second, and how many were lost, while something is done."""
    before, began = [agent.report(camera) for camera in range(CAMERAS)], time.monotonic()
    await meanwhile
    seconds = time.monotonic() - began
    after = [agent.report(camera) for camera in range(CAMERAS)]
    pairs = list(zip(before, after, strict=True))
    return {
        "per_second": round(sum(b.num_seen - a.num_seen for a, b in pairs) / seconds / CAMERAS, 2),
        "num_dropped": sum(b.num_dropped - a.num_dropped for a, b in pairs),
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{part}": round(float(np.percentile(seconds, part)) * 1e3, 2) for part in (50, 99)}


if __name__ == "__main__":
    typer.run(main)
