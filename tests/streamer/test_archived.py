"""What was kept on disk is asked about as if it were then."""

import json
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from memory import Archive, EncoderKind, Moment, quantise
from streamer.agent import run_agent
from streamer.archived import MOST_ANEW, recall_archived
from streamer.ask import ask_archive
from streamer.device import DeviceThread
from streamer.errors import QuestionError
from streamer.model_memory import kind_of
from streamer.picture import encode_jpeg
from streamer.settings import Settings
from streamer.times import Span
from streamer.yard.exam import memory_for
from streamer.yard.render import render
from streamer.yard.world import World
from tests.conftest import REPO
from tests.memory.moments import tokens_of

START, SECONDS, EVERY_SECONDS = 1_795_350_000.0, 1800, 4
QUESTION = "Is the gate open?"


@pytest.fixture(scope="module")
def kept(bundled, tmp_path_factory):
    """Half an hour of a lively yard, with a gap of a minute; (folder, world)."""
    folder, world, memory = tmp_path_factory.mktemp("kept"), World(7, lively=True), memory_for(bundled)
    times = [START + k for k in range(0, SECONDS, EVERY_SECONDS) if not 900 <= k < 960]
    with Archive(folder, encoder=kind_of(bundled)) as archive:
        for first in range(0, len(times), 16):
            part = times[first : first + 16]
            tokens = bundled.encoder.encode([render(world.state_at(each)) for each in part])
            for time_seconds, frame in zip(part, tokens, strict=True):
                gap = START + 900 if time_seconds == START + 960 else None
                memory.push(
                    0, frame, time_seconds=time_seconds, picture=b"jpeg %d" % time_seconds, gap_start_seconds=gap
                )
            for _, moments in memory.moments(memory.consolidate([part[-1]], flush=True)):
                archive.add("yard", moments, now_seconds=part[-1])
    return folder, world


async def test_a_question_about_then_is_answered_from_then(bundled, kept):
    folder, world = kept
    answers = {}
    for after in range(300, SECONDS, 150):
        answer = await ask_archive(bundled, folder, "yard", QUESTION, Span(START + after))
        answers[after] = answer.answer.endswith("open."), world.state_at(START + after).gate_open
        assert answer.asked_at_seconds == START + after
        assert {slot.tier for slot in answer.evidence} == {"archive"}
        assert answer.evidence[-1].start_seconds <= START + after
        assert answer.frame_age_seconds <= EVERY_SECONDS + 1
    right = sum(told == true for told, true in answers.values())
    assert right >= len(answers) - 1, answers


async def test_evidence_is_the_same_whatever_was_asked_before_and_names_its_pictures(bundled, kept):
    folder, _ = kept
    async with DeviceThread() as device:
        first = (await recall_archived(bundled, device, folder, "yard", QUESTION, Span(START + 1500))).evidence
        await recall_archived(bundled, device, folder, "yard", "Was there a car?", Span(START + 600))
        again = (await recall_archived(bundled, device, folder, "yard", QUESTION, Span(START + 1500))).evidence
    assert first.slots == again.slots
    assert first.tokens.equal(again.tokens)
    assert all(later.start_seconds >= earlier.end_seconds for earlier, later in pairwise(first.slots))
    assert [(gap.start_seconds, gap.end_seconds) for gap in first.gaps] == [
        (pytest.approx(START + 900, abs=5), START + 960)
    ]
    with Archive(folder, encoder=kind_of(bundled)) as archive:
        assert [archive.picture(slot.slot_id) for slot in first.slots] == [slot.picture for slot in first.slots]
    assert all(slot.picture for slot in first.slots)


async def test_a_span_has_nothing_from_before_it(bundled, kept):
    folder, _ = kept
    async with DeviceThread() as device:
        span = Span(START + 700, START + 400)
        evidence = (await recall_archived(bundled, device, folder, "yard", QUESTION, span)).evidence
    assert evidence.slots[0].end_seconds >= START + 400
    assert evidence.slots[0].start_seconds >= START + 300
    assert evidence.slots[-1].end_seconds <= START + 700


async def test_what_another_encoder_saw_is_encoded_anew_from_its_pictures(bundled, tmp_path):
    """Its moments have pictures, and no tokens that can be read."""
    world, times = World(7, lively=True), [START + 4 * k for k in range(48)]
    pictures = {each: render(world.state_at(each)) for each in times}
    other = EncoderKind("another model's", 4, 8)
    with Archive(tmp_path, encoder=other) as archive:
        seen = [kept_moment(number, tokens_of(number)[None], pictures[each]) for number, each in enumerate(times[:40])]
        archive.add("yard", seen, now_seconds=times[39])
    with Archive(tmp_path, encoder=kind_of(bundled)) as archive:
        tokens = bundled.encoder.encode([pictures[each] for each in times[40:]])
        own = [kept_moment(40 + k, each[None], pictures[times[40 + k]]) for k, each in enumerate(tokens)]
        archive.add("yard", own, now_seconds=times[-1])
    async with DeviceThread() as device:
        evidence = (await recall_archived(bundled, device, tmp_path, "yard", QUESTION, Span(times[-1] + 2))).evidence
    assert sum(slot.start_seconds < times[40] for slot in evidence.slots) == MOST_ANEW
    assert evidence.slots[0].start_seconds == times[0]
    answer = await ask_archive(bundled, tmp_path, "yard", QUESTION, Span(times[20] + 2))
    assert answer.answer == f"The gate is {'open' if world.state_at(times[20]).gate_open else 'closed'}."
    assert answer.evidence[-1].start_seconds == times[20]


async def test_what_has_neither_tokens_nor_pictures_is_told(bundled, tmp_path):
    with Archive(tmp_path, encoder=EncoderKind("another model's", 4, 8)) as archive:
        archive.add("yard", [kept_moment(0, tokens_of(0)[None], None)], now_seconds=START)
    with pytest.raises(QuestionError, match="seen by another model's encoder, and has no pictures"):
        await ask_archive(bundled, tmp_path, "yard", QUESTION, Span(START + 60))


@pytest.mark.parametrize(("kind", "is_warned"), [("rtsp", True), ("demo", False), ("", False)])
async def test_what_the_model_does_not_know_is_told_of_then_too(bundled, tmp_path, kind, is_warned):
    with Archive(tmp_path, encoder=kind_of(bundled), kinds={"yard": kind}) as archive:
        pixels = render(World(7).state_at(START))
        archive.add("yard", [kept_moment(0, bundled.encoder.encode([pixels]), pixels)], now_seconds=START)
    answer = await ask_archive(bundled, tmp_path, "yard", QUESTION, Span(START + 5))
    assert ("knows only the built-in yard" in answer.answer) == is_warned


def kept_moment(number, tokens, pixels) -> Moment:
    """Of one frame, `number` times four seconds after START; tokens [1, N, W]."""
    (quantised,) = quantise(tokens)
    jpeg = b"" if pixels is None else encode_jpeg(pixels)
    start = START + 4 * number
    return Moment(number, start, start + 3.5, 7, gap_before=False, tokens=quantised, picture=jpeg)


async def test_a_time_when_the_camera_was_lost_is_told(bundled, kept):
    folder, _ = kept
    answer = await ask_archive(bundled, folder, "yard", QUESTION, Span(START + 950))
    assert answer.answer.startswith("(The newest picture of then is ")
    assert answer.frame_age_seconds > 45


@pytest.mark.parametrize(
    ("camera", "after", "message"),
    [
        ("street", 100, "the archive knows no camera 'street'; it has: yard"),
        ("yard", -100, "the archive has nothing of yard from then; it goes from 20"),
    ],
)
async def test_what_was_not_kept_fails_with_what_there_is(bundled, kept, camera, after, message):
    folder, _ = kept
    with pytest.raises(QuestionError, match=message):
        await ask_archive(bundled, folder, camera, QUESTION, Span(START + after))


async def test_no_archive_fails(bundled, tmp_path):
    with pytest.raises(QuestionError, match="there is no archive in"):
        await ask_archive(bundled, tmp_path, "yard", QUESTION, Span(START))


async def test_an_empty_question_fails(bundled, kept):
    with pytest.raises(QuestionError, match="the question is empty"):
        await ask_archive(bundled, kept[0], "yard", "  ", Span(START))


def test_a_span_that_ends_before_it_begins_fails():
    with pytest.raises(ValueError, match="--until is before --since"):
        Span(1.0, 2.0)


async def test_a_running_agent_answers_about_then_from_its_archive(bundled, tmp_path):
    """Two hours ago is before all that its memory has; now is as ever, and in between is nothing."""
    then, world = time.time() - 2 * 3600, World(7, lively=True)
    (tokens,) = bundled.encoder.encode([render(world.state_at(then))])
    memory = memory_for(bundled)
    memory.push(0, tokens, time_seconds=then - 5, picture=b"jpeg")
    memory.extend(0, start_seconds=then - 4, end_seconds=then + 20, num_frames=50)
    with Archive(tmp_path, encoder=kind_of(bundled)) as archive:
        for _, moments in memory.moments(memory.consolidate([then + 20], flush=True)):
            archive.add("yard", moments, now_seconds=then)
    settings = Settings.model_validate(
        {"cameras": {"yard": {"url": "demo://yard?lively=1", "fps": 4}}, "archive": {"path": tmp_path}}
    )
    async with run_agent(settings, bundled) as agent:
        assert await agent.wait_for_frame(0, timeout_seconds=15)
        about_then = await agent.ask(0, "Was the gate open 2 hours ago?").answer()
        about_now = await agent.ask(0, QUESTION).answer()
        with pytest.raises(QuestionError, match="the archive has nothing of yard from then"):
            await agent.ask(0, "Was the gate open three days ago?").answer()
    assert [(slot.tier, slot.picture) for slot in about_then.evidence] == [("archive", b"jpeg")]
    assert about_then.frame_age_seconds < 10
    assert about_then.answer.startswith("The gate is ") or about_then.answer.startswith(("Yes", "No"))
    assert about_now.evidence[-1].tier == "ring"


def run(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "run_stream.py", "ask", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=REPO)


def test_the_command_line_asks_the_archive(kept):
    folder, _ = kept
    done = run("yard", QUESTION, "--archive", folder, "--at", START + 600, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["answer"].startswith("The gate is ")
    assert all(slot["tier"] == "archive" and slot["moment_id"] > 0 for slot in answer["evidence"])


def test_the_words_of_a_question_say_when(kept):
    done = run("yard", "Is the gate open 30 minutes ago?", "--archive", kept[0], "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["question"] == QUESTION
    assert abs(answer["asked_at_seconds"] - (time.time() - 1800)) < 120


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--at", "noon"), 2, "is no time; write"),
        (("--at", "14:05", "--since", "13:00"), 2, "give either --at or"),
        (("--at", "1h"), 1, "error: there is no archive in"),
    ],
)
def test_a_wrong_call_fails_in_one_line(tmp_path, options, status, message):
    done = run("yard", QUESTION, "--archive", tmp_path, *options)
    assert done.returncode == status
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
