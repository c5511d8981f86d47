"""An agent whose model is elsewhere: the cameras go on while a server writes, and the command line, end to end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from llm.openai_api import RemoteModel
from streamer.agent import Agent, load_model, run_agent
from streamer.device import Priority
from streamer.errors import ModelError, QuestionError
from streamer.settings import BudgetSettings, PatienceSettings, settings_from_sources
from streamer.terminal import status_text
from tests.llm.tiny_served import make_seeing_checkpoint
from tests.rig.serving import Reply, StandIn, chatters, hangs, refuses, says, says_after, stand_in, transformers_serve
from tests.streamer.watching import holds

COMMAND = [sys.executable, str(Path(__file__).parents[2] / "run_stream.py")]
QUESTION = "What is in the yard now?"


@asynccontextmanager
async def watching(server: StandIn, source: str = "demo://yard?seed=7&speed=1&lively=1") -> AsyncIterator[Agent]:
    model = load_model(server.address(user_info="s3cr3t"))
    async with run_agent(settings_from_sources([source]), model) as agent:
        assert await agent.wait_for_frame(0, timeout_seconds=20)
        yield agent


async def test_frames_are_encoded_and_the_device_is_free_while_a_server_thinks() -> None:
    may_answer = asyncio.Event()
    async with stand_in(says_after(may_answer, "A car.")) as server, watching(server) as agent:
        asked = agent.ask(0, QUESTION)
        await holds(lambda: bool(server.requests), within_seconds=30)
        before, began = agent.report(0).num_encoded, time.monotonic()
        await holds(lambda: agent.report(0).num_encoded >= before + 6, within_seconds=60)
        async with asyncio.timeout(30):  # a job of the lowest priority comes to its turn too
            await agent._questions._device.run(Priority.NOTE, lambda: None)
        assert not asked._done.done()
        waited_seconds = time.monotonic() - began
        may_answer.set()
        answer = await asked.answer()
        assert answer.answer == "A car."
        assert answer.latency.first_token_seconds > waited_seconds
        assert answer.model == f"openai:http://127.0.0.1:{server.port}/v1#tiny"
        status = status_text(agent).plain  # a note may have been written meanwhile
        assert re.search(rf"127\.0\.0\.1:{server.port}/v1#tiny up · \d of 120 calls · \d+ of 200,000 tokens", status)
        assert answer.usage is not None
        assert answer.usage.is_up
        assert "s3cr3t" not in json.dumps(answer.to_json())
        assert all(slot.picture for slot in answer.evidence)
    assert server.requests[0].text.startswith("Camera camera1, ")
    assert len(server.requests[0].pictures) == len(answer.evidence)


@pytest.mark.parametrize("reply", [chatters, hangs])
async def test_a_question_that_is_withdrawn_closes_the_stream_at_once(reply: Reply) -> None:
    async with stand_in(reply) as server, watching(server) as agent:
        asked = agent.ask(0, QUESTION)
        await holds(lambda: bool(server.requests))
        if reply is chatters:
            await anext(aiter(asked))
        began = time.monotonic()
        asked.cancel()
        asked.cancel()  # withdrawn twice is withdrawn
        with pytest.raises(QuestionError, match="withdrawn"):
            await asyncio.wait_for(asked.answer(), 5)
        await asyncio.wait_for(server.broken_off.wait(), 5)
        assert time.monotonic() - began < 5
        server.replies[:] = [says("Now.")]
        assert (await agent.ask(0, QUESTION).answer()).answer == "Now."


async def test_leaving_in_the_middle_of_a_remote_answer_closes_everything() -> None:
    async with stand_in(hangs) as server:
        async with watching(server) as agent:
            asked = agent.ask(0, QUESTION)
            await holds(lambda: bool(server.requests))
            began = time.monotonic()
        assert time.monotonic() - began < 5
        with pytest.raises(QuestionError, match="stopped before"):
            await asked.answer()
        await asyncio.wait_for(server.broken_off.wait(), 5)


async def test_notes_are_written_from_pictures_within_their_share() -> None:
    source = "demo://yard?seed=7&speed=8&lively=1"
    async with stand_in(says("A red car waits.")) as server, watching(server, source) as agent:
        await holds(lambda: bool(agent.remember.num_notes), within_seconds=30)
        assert len(server.requests[0].pictures) == 1
        for _ in range(80):  # until the slot is older than the ring
            if any(slot.note for slot in (await agent.ask(0, QUESTION).answer()).evidence):
                break
            await asyncio.sleep(0.3)
        assert "(A red car waits.)" in server.requests[-1].text
        await holds(lambda: bool(agent.remember.num_notes_skipped))
        assert agent.remember.num_notes == 1  # the next one is due in a minute


async def test_a_question_beyond_the_budget_is_told_when_it_may_be_asked() -> None:
    async with stand_in(says("Yes.")) as server:
        model = load_model(server.address(), budget=BudgetSettings(calls_per_hour=1))
        async with run_agent(settings_from_sources(["demo://yard"]), model) as agent:
            assert await agent.wait_for_frame(0, timeout_seconds=20)
            assert (await agent.ask(0, QUESTION).answer()).answer == "Yes."
            with pytest.raises(QuestionError, match=r"budget of 1 calls is used up; ask again in 60 min"):
                await agent.ask(0, QUESTION).answer()
        assert len(server.requests) == 1


async def test_a_server_is_waited_for_as_long_as_the_settings_say() -> None:
    async with stand_in(hangs) as server:
        model = load_model(server.address(), patience=PatienceSettings(first_word_seconds=2))
        async with run_agent(settings_from_sources(["demo://yard"]), model) as agent:
            assert await agent.wait_for_frame(0, timeout_seconds=20)
            with pytest.raises(QuestionError, match=r"no word within [12] s.*longer model_patience.first_word_seconds"):
                await asyncio.wait_for(agent.ask(0, QUESTION).answer(), 10)


def test_a_remote_model_keeps_its_key_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGWATCH_MODEL_KEY", "s3cr3t")
    model = load_model("openai:http://127.0.0.1:9/v1#tiny")
    assert isinstance(model, RemoteModel)
    assert "s3cr3t" not in repr(model) + repr(model.__dict__)
    with pytest.raises(ModelError, match="leave it away for a model on a server"):
        load_model("openai:http://127.0.0.1:9/v1#tiny", quantize="4bit")
    with pytest.raises(ModelError, match="named after a #") as caught:
        load_model("openai:http://s3cr3t@127.0.0.1:9/v1")
    assert "s3cr3t" not in str(caught.value)


def _run(*arguments: str, timeout_seconds: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def test_the_command_line_asks_a_real_server(tmp_path: Path) -> None:
    seeing = make_seeing_checkpoint(tmp_path / "seeing")
    with transformers_serve(tmp_path) as server:
        address = f"openai:http://s3cr3t@127.0.0.1:{server.port}/v1#{seeing}"
        done = _run("watch", "demo://yard?speed=20", "--model", address, "--ask", QUESTION, "--for", "5", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["model"] == f"openai:http://127.0.0.1:{server.port}/v1#{seeing}"
    assert answer["answer"].strip()
    assert answer["usage"]["is_up"] is True
    assert answer["usage"]["calls"] >= 1
    assert answer["usage"]["tokens"] > 50
    assert "the server answers" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr


async def test_the_command_line_tells_a_wrong_key_in_one_line_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "LONGWATCH_MODEL_KEY", "s3cr3t")
    refusal = refuses(401, {"error": {"message": "Incorrect API key provided: s3cr3t"}})
    async with stand_in(refusal) as server:
        arguments = (
            "watch",
            "demo://yard?speed=20",
            "--model",
            server.address(),
            "--ask",
            QUESTION,
            "--for",
            "2",
            "--json",
        )
        done = await asyncio.to_thread(_run, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "does not accept the key" in done.stderr.strip().splitlines()[-1]
    assert "s3cr3t" not in done.stderr
    assert "Traceback" not in done.stderr
