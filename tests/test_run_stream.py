"""The command line as a person uses it: real processes, real servers, real files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from llm.choosing import BUNDLED_FOLDER
from tests.rig.hub import Hub, serve
from tests.rig.servers import RtspServer, SilentServer, free_port

REPO = Path(__file__).parents[1]
COMMAND = [sys.executable, str(REPO / "run_stream.py")]
ANSWER_KEYS = {
    "camera",
    "question",
    "answer",
    "asked_at_seconds",
    "frame_age_seconds",
    "evidence",
    "memory",
    "latency",
    "model",
}


def _run(
    *arguments: str, timeout_seconds: float = 90, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
        env=environment,
    )
    assert "Traceback" not in done.stderr
    return done


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_without_a_terminal_the_demo_asks_three_questions_and_ends_well():
    done = _run()
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    asked = [index for index, line in enumerate(lines) if line.startswith("> ")]
    assert [lines[index] for index in asked] == [
        "> What is in the yard now?",
        "> Is the gate open?",
        "> Is it day or night?",
    ]
    assert lines[asked[1] + 1] in ("The gate is open.", "The gate is closed.")
    assert "slots; newest" in lines[-1]


@pytest.mark.rtsp
def test_an_rtsp_camera_is_watched_and_asked_and_the_answer_is_one_json_object(rtsp_server: Callable[..., RtspServer]):
    server = rtsp_server()
    done = _run("watch", server.url(), "--for", "20", "--ask", "What is happening?", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    assert set(answer) == ANSWER_KEYS
    assert answer["camera"] == "camera1"
    assert answer["question"] == "What is happening?"
    assert answer["model"] == "bundled"
    assert "knows only the built-in yard" in answer["answer"]
    assert 0 <= answer["frame_age_seconds"] < 2
    assert abs(answer["asked_at_seconds"] - time.time()) < 30
    memory = answer["memory"]
    assert set(memory) == {"frames_seen", "frames_encoded", "ring_slots", "long_term_slots", "nbytes"}
    assert memory["frames_seen"] > 100
    assert 36 <= memory["frames_encoded"] <= 48
    assert 2 <= memory["long_term_slots"] <= 6
    evidence = answer["evidence"]
    assert {slot["tier"] for slot in evidence} == {"ring", "long_term"}
    assert all(set(slot) == {"tier", "start_seconds", "end_seconds", "weight"} for slot in evidence)
    assert sum(slot["weight"] for slot in evidence) == pytest.approx(memory["frames_encoded"], abs=2)
    assert all(one["end_seconds"] <= other["start_seconds"] for one, other in pairwise(evidence))
    latency = answer["latency"]
    assert 0 <= latency["queue_seconds"] <= latency["first_token_seconds"] <= latency["total_seconds"]


def test_a_file_runs_on_its_own_clock_and_is_asked_at_its_end(data_folder: Path):
    done = _run("watch", str(data_folder / "vtest.avi"), "--for", "100000", "--ask", "Who?", "--ask", "What?", "--json")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["question"] for answer in answers] == ["Who?", "What?"]
    for answer in answers:
        assert answer["memory"]["frames_seen"] == 795
        assert answer["memory"]["frames_encoded"] == 159
        assert sum(slot["weight"] for slot in answer["evidence"]) == 159


def test_a_file_is_asked_after_as_many_seconds_of_its_own_clock(data_folder: Path):
    done = _run("watch", str(data_folder / "vtest.avi"), "--for", "20", "--ask", "Who?", "--json")
    answer = json.loads(done.stdout)
    first = answer["evidence"][0]["start_seconds"]
    assert 20 <= answer["asked_at_seconds"] - first < 26


def test_each_camera_is_asked_at_its_own_time():
    done = _run("watch", "demo://yard?seed=1&speed=20", "demo://yard?seed=2", "--for", "8", "--ask", "What?", "--json")
    assert done.returncode == 0, done.stderr
    answers = {answer["camera"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    assert list(answers) == ["camera1", "camera2"]
    for answer in answers.values():
        watched_seconds = answer["asked_at_seconds"] - answer["evidence"][0]["start_seconds"]
        assert 8 <= watched_seconds < 20


def test_words_from_outside_are_printed_as_they_are():
    question = "is [/x] [bold]there[/bold] :dog: ?"
    arguments = ("watch", "demo://yard?speed=20", "--for", "2", "--ask", question)
    assert f"> {question}\n" in _run(*arguments).stdout
    assert json.loads(_run(*arguments, "--json").stdout)["question"] == question


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["watch", "no/such/file.mp4", "--ask", "What?"], 1, "no/such/file.mp4"),
        (["watch", __file__, "--ask", "What?"], 1, "is not a video"),
        (["check", ""], 1, "expected it to have at least 1 character"),
        (["check", "x[/a].mp4"], 1, "x[/a].mp4"),
        (["watch", "demo://yard", "--ask", "What?", "--model", "[/x]"], 1, "model '[/x]' is not found"),
        (
            ["watch", "demo://yard", "--model", "openai:http://user:s3cr3t@h/v1"],
            1,
            "a remote model is named after a #",
        ),
        (["watch", "gopher://x/y", "--ask", "What?"], 1, "cannot open gopher://"),
        (["check", "admin:s3cr3t@192.168.1.10/stream1"], 1, "***@192.168.1.10/stream1 is no file; is rtsp:// missing"),
        (["watch", "'rtsp://admin:s3cr3t@h/x'", "--ask", "What?"], 1, "***@h/x' is no file; is rtsp:// missing"),
        (["watch", "rtsp:///nothing", "--ask", "What?"], 1, "no host"),
        (["watch", "demo://yard?speed=1", "--ask", "  "], 1, "the question is empty"),
        (["watch", "demo://yard", "--ask", "What?", "--model", "nowhere"], 1, "model 'nowhere' is not found"),
        (["watch", "demo://yard", "--ask", "What?", "--quantize", "4bit"], 1, "--quantize 4bit needs an NVIDIA GPU"),
        (["watch", "demo://yard", "--quantize", "3bit"], 2, "--quantize"),
        (["watch", "--config", "no/such.yaml"], 1, "there is no such file"),
        (["watch"], 2, "give either SOURCE"),
        (["watch", "demo://yard", "--config", "x.yaml"], 2, "give either SOURCE"),
        (["watch", "demo://yard", "--for", "-1"], 2, "--for"),
        (["frobnicate"], 2, "No such command"),
        (["check", "no/such/file.mp4"], 1, "no/such/file.mp4"),
        (["check", __file__], 1, "is not a video"),
        (["check", "demo://garden"], 1, "one place, the yard"),
        (["check"], 2, "give either SOURCE"),
    ],
)
def test_bad_input_ends_with_one_line_and_the_right_status(arguments, status, message):
    done = _run(*arguments)
    assert done.returncode == status
    assert done.stdout == "" or arguments[0] == "check"
    if status == 1:
        assert _last_line(done.stderr).startswith("error: ")
        assert message in _last_line(done.stderr)
        assert "s3cr3t" not in done.stdout + done.stderr
    else:
        assert message in done.stderr


def test_a_refused_connection_is_told_by_check_and_by_watch():
    url = f"rtsp://user:s3cr3t@127.0.0.1:{free_port()}/live"
    for arguments in (["check", url], ["watch", url, "--ask", "What?"]):
        done = _run(*arguments)
        assert done.returncode == 1
        assert "refuses the connection" in _last_line(done.stderr)
        assert "s3cr3t" not in done.stdout + done.stderr


@pytest.mark.rtsp
def test_a_wrong_password_is_told_at_once_without_the_password(rtsp_server: Callable[..., RtspServer]):
    server = rtsp_server(auth=("digest", "user", "right"))
    for arguments in (
        ["check", server.url(user_info="user:wr0ng")],
        ["watch", server.url(user_info="user:wr0ng"), "--ask", "?"],
    ):
        done = _run(*arguments, timeout_seconds=40)
        assert done.returncode == 1
        assert "password" in _last_line(done.stderr)
        assert "wr0ng" not in done.stdout + done.stderr


def test_a_camera_that_says_nothing_is_given_up_after_15_seconds():
    with closing(SilentServer()) as server:
        began = time.monotonic()
        done = _run("watch", f"rtsp://127.0.0.1:{server.port}/live", "--ask", "What?")
        passed_seconds = time.monotonic() - began
    assert done.returncode == 1
    assert 14 < passed_seconds < 40
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"rtsp://127.0.0.1:{server.port}/live" in error


def test_models_are_told_as_one_json_object_each():
    done = _run("models", "--json")
    assert done.returncode == 0, done.stderr
    told = {model["model"]: model for model in map(json.loads, done.stdout.splitlines())}
    assert told["bundled"]["is_run_here"]
    assert not told["Qwen/Qwen3-VL-4B-Instruct"]["is_run_here"]
    assert told["Qwen/Qwen3-VL-4B-Instruct"]["tokens_per_frame"] == 144


def test_a_model_is_fetched_from_the_hub_that_the_environment_names_and_its_answer_is_all_that_is_printed(tmp_path):
    folder = tmp_path / "hub"
    shutil.copytree(BUNDLED_FOLDER, folder)
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    arguments = ("watch", "demo://yard?speed=20", "--for", "4", "--ask", "Is the gate open?", "--json", "--model")
    with serve(Hub(folder)) as hub:
        done = _run(*arguments, hub.name, environment={**environment, "HF_ENDPOINT": hub.url})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == hub.name
    assert "someone/tiny: 11 MB to fetch, 0 MB are here" in done.stderr
    assert "someone/tiny: smolvlm, 5.6 M parameters, float32 on cpu, sdpa attention, 16 tokens per frame" in done.stderr
    gone = {**environment, "HF_ENDPOINT": hub.url}
    again = _run(*arguments, hub.name, environment=gone)
    assert again.returncode == 0, again.stderr
    assert "to fetch" not in again.stderr
    done = _run(*arguments, "someone/else", environment=gone)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "run `hf download someone/else --local-dir else` where there is a network" in _last_line(done.stderr)


@pytest.mark.rtsp
def test_check_says_what_is_right(rtsp_server: Callable[..., RtspServer]):
    done = _run("check", rtsp_server().url(), "demo://yard")
    assert done.returncode == 0, done.stderr
    for word in ("h264", "768x576", "640x360", "ok"):
        assert word in done.stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_within_two_seconds_also_with_a_silent_camera(number: signal.Signals, status: int):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with closing(SilentServer()) as server:
        _signalled(["watch", "demo://yard", f"rtsp://127.0.0.1:{server.port}/live"], number, status, environment)


def _signalled(arguments: list[str], number: signal.Signals, status: int, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    guard = threading.Timer(60, process.kill)
    guard.start()
    for line in process.stderr:
        if "live" in line:
            break
    time.sleep(2)
    process.send_signal(number)
    began = time.monotonic()
    _, errors = process.communicate(timeout=20)
    guard.cancel()
    assert time.monotonic() - began < 2.0
    assert process.returncode == status
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rtsp://me:hunter2@192.0.2.1/x"], "to watch a camera or a file: watch"),
        (["me:hunter2@192.0.2.1/x"], "to watch a camera or a file: watch"),
        (["demo", "rtsp://me:hunter2@192.0.2.1/x"], "unexpected extra argument"),
        (["watch", "--fps", "rtsp:/me:hunter2@192.0.2.1/x"], "No such option"),
        (["wacth"], "Did you mean 'watch'?"),
    ],
)
def test_a_wrong_call_shows_no_password_and_fails_with_2(arguments: list[str], words: str) -> None:
    done = _run(*arguments)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert "hunter2" not in done.stdout + done.stderr
