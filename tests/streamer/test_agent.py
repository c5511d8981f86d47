"""A whole agent: cameras, memory and the bundled model together."""

import asyncio
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from streamer.agent import load_model, run_agent
from streamer.errors import BusyError, ModelError, NotReadyError, QuestionError
from streamer.questions import MAX_WAITING
from streamer.settings import Settings, settings_from_sources


def _yard(*, fps: float = 2.0, speed: float = 1) -> Settings:
    return Settings.model_validate({"cameras": {"yard": {"url": f"demo://yard?seed=7&speed={speed}", "fps": fps}}})


async def test_an_answer_streams_in_and_is_the_same_as_the_whole_one(bundled):
    async with run_agent(_yard(speed=100), bundled) as agent:
        assert await agent.wait_for_frame(0, timeout_seconds=15)
        asked = agent.ask(0, "Is the gate open?")
        pieces = [piece async for piece in asked]
        answer = await asked.answer()
    assert len(pieces) > 2
    assert "".join(pieces).strip() == answer.answer
    assert answer.evidence[-1].tier == "ring"


async def test_capture_goes_on_and_loses_nothing_while_questions_are_answered(bundled):
    async with run_agent(_yard(fps=2.0), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        began, before = time.monotonic(), agent.report(0)
        for _ in range(6):
            await agent.ask(0, "What is in the yard now?").answer()
        await asyncio.sleep(max(0.0, began + 6 - time.monotonic()))
        after, passed_seconds = agent.report(0), time.monotonic() - began
    assert after.num_dropped == 0
    assert after.fill.num_overrun == 0
    num_remembered = after.num_encoded + after.num_unchanged - before.num_encoded - before.num_unchanged
    assert num_remembered >= 2 * passed_seconds - 2


async def test_a_paced_camera_loses_no_frame_however_fast_it_is(bundled):
    async with run_agent(_yard(fps=10, speed=10_000), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        start = agent.cameras[0].first_frame_seconds
        await agent.wait_until(0, start + 40)
        answer = await agent.ask(0, "What is in the yard now?").answer()
        report = agent.report(0)
    assert report.num_dropped == report.fill.num_overrun == 0
    weights = sum(slot.weight for slot in answer.evidence)
    covered = answer.evidence[-1].end_seconds - answer.evidence[0].start_seconds
    assert weights == pytest.approx(covered * 10 + 1, abs=0.5)
    assert answer.evidence[0].start_seconds == start


async def test_long_term_slots_get_pictures_and_notes(bundled):
    async with run_agent(_yard(fps=2.0, speed=20), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        start = agent.cameras[0].first_frame_seconds
        await agent.wait_until(0, start + 120)
        answer = await agent.ask(0, "What is in the yard now?").answer()
    old = [slot for slot in answer.evidence if slot.tier == "long_term"]
    num_notes = agent.remember.num_notes
    assert num_notes > 0
    assert any(slot.note for slot in old)
    assert all(slot.picture.startswith(b"\xff\xd8") for slot in answer.evidence)


async def test_memory_is_allocated_once(bundled):
    async with run_agent(_yard(fps=10, speed=10_000), bundled) as agent:
        before = agent.memory.nbytes
        await agent.wait_for_frame(0, timeout_seconds=15)
        await agent.wait_until(0, agent.cameras[0].first_frame_seconds + 60)
        assert agent.memory.nbytes == before


async def test_a_question_before_the_first_frame_fails(bundled):
    settings = settings_from_sources(["no/such/file.mp4"])
    async with run_agent(settings, bundled) as agent:
        with pytest.raises(NotReadyError, match="camera1 has given no frame yet"):
            agent.ask(0, "What is happening?")


@pytest.mark.parametrize(("question", "message"), [("", "empty"), (" \n\t", "empty"), ("x" * 501, "501 characters")])
async def test_a_question_that_is_none_fails(bundled, question, message):
    async with run_agent(_yard(speed=100), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        with pytest.raises(QuestionError, match=message):
            agent.ask(0, question)


async def test_one_question_too_many_fails_as_busy_and_the_others_are_answered(bundled):
    async with run_agent(_yard(speed=1), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        asked = [agent.ask(0, "Is the gate open?") for _ in range(MAX_WAITING)]
        with pytest.raises(BusyError, match="questions wait already"):
            agent.ask(0, "Is the gate open?")
        answers = await asyncio.gather(*(one.answer() for one in asked))
    assert all(answer.answer for answer in answers)
    queued = [answer.latency.queue_seconds for answer in answers]
    assert queued == sorted(queued)


async def test_a_cancelled_question_ends_and_the_next_one_is_answered(bundled):
    async with run_agent(_yard(speed=1), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        unwanted, wanted = agent.ask(0, "What is in the yard now?"), agent.ask(0, "Is the gate open?")
        unwanted.cancel()
        with pytest.raises(QuestionError, match="withdrawn"):
            await unwanted.answer()
        assert (await wanted.answer()).answer


async def test_a_reader_that_never_reads_is_dropped_and_the_answer_is_whole(bundled):
    async with run_agent(_yard(speed=1), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        asked = agent.ask(0, "What is in the yard now?")
        for _ in range(200):
            asked.say("more ")
        answer = await asked.answer()
        pieces = [piece async for piece in asked]
    assert asked.is_dropped
    assert set(pieces) == {"more "}
    assert len(pieces) == 128
    assert answer.answer
    assert "more" not in answer.answer


async def test_leaving_in_the_middle_of_an_answer_closes_everything(bundled):
    async with run_agent(_yard(speed=1), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        asked = [agent.ask(0, "What is in the yard now?") for _ in range(3)]
        async for _ in asked[0]:
            break  # the first word; the others are still to come
        began = time.monotonic()
    assert time.monotonic() - began < 2
    for one in asked:
        with pytest.raises(QuestionError, match="stopped before"):
            await asyncio.wait_for(one.answer(), 1)
    with pytest.raises(QuestionError, match="stopped before"):
        agent.ask(0, "What is in the yard now?")
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"device", "capture-yard"}


async def test_a_question_that_breaks_the_model_fails_alone(bundled):
    async with run_agent(_yard(speed=1), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        healthy, bundled.tokenizer.chat_template = bundled.tokenizer.chat_template, "{{ nothing.of.the.kind }}"
        try:
            with pytest.raises(QuestionError, match="chat template of bundled fails"):
                await agent.ask(0, "What is in the yard now?").answer()
        finally:
            bundled.tokenizer.chat_template = healthy
        assert (await agent.ask(0, "Is the gate open?").answer()).answer


async def test_half_a_character_in_a_question_is_no_fault(bundled):
    async with run_agent(_yard(speed=1), bundled) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        assert (await agent.ask(0, "caf\udce9 open?").answer()).question == "caf? open?"


async def test_the_last_frame_of_a_short_file_is_in_memory_when_it_is_over(bundled, tmp_path):
    settings = settings_from_sources([str(_clip(tmp_path / "short.mp4", num_frames=1))])
    async with run_agent(settings, bundled) as agent:
        assert await agent.wait_for_frame(0, timeout_seconds=15)
        start = agent.cameras[0].first_frame_seconds
        await agent.wait_until(0, start + 1000)
        answer = await agent.ask(0, "What is in the yard now?").answer()
    assert [slot.weight for slot in answer.evidence] == [1]
    assert answer.frame_age_seconds == 0


@pytest.mark.rtsp
async def test_a_camera_that_was_lost_is_never_described_as_now(bundled, rtsp_server):
    server = rtsp_server()
    async with run_agent(settings_from_sources([server.url()]), bundled) as agent:
        assert await agent.wait_for_frame(0, timeout_seconds=15)
        server.kill()
        async with asyncio.timeout(15):
            while agent.cameras[0].state.status == "live":
                agent.cameras[0].changed.clear()
                await asyncio.wait_for(agent.cameras[0].changed.wait(), 15)
        answer = await agent.ask(0, "What is happening?").answer()
    assert answer.answer.startswith("(The newest picture is ")
    assert "this is not now" in answer.answer


def _clip(path: Path, *, num_frames: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for value in range(num_frames):
            pixels = np.full((48, 64, 3), value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    return path


def test_an_unknown_model_fails_in_one_line():
    with pytest.raises(ModelError, match="not found: give 'bundled'"):
        load_model("nowhere")
