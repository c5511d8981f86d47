"""A running agent is asked from another terminal, and none who asks badly disturbs it."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streamer.agent import run_agent
from streamer.asked import Asked
from streamer.client import SOCKET_NAME, ask_agent
from streamer.errors import QuestionError
from streamer.local_server import MAX_CLIENTS, REQUEST_BYTES, serve
from streamer.settings import Settings
from streamer.times import Span
from tests.conftest import REPO

QUESTION = "Is the gate open?"


@pytest.fixture
def folder():
    """A short path: a socket's name has at most 107 bytes."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def settings_of(folder) -> Settings:
    return Settings.model_validate(
        {"cameras": {"yard": {"url": "demo://yard?lively=1", "fps": 2}}, "archive": {"path": folder}}
    )


async def sent(folder, line: bytes) -> dict:
    """What a client that is none of ours gets."""
    reader, writer = await asyncio.open_unix_connection(folder / SOCKET_NAME)
    writer.write(line)
    answer = json.loads((await reader.read()).splitlines()[-1])
    writer.close()
    return answer


async def test_an_agent_is_asked_from_another_terminal(bundled, folder):
    async with run_agent(settings_of(folder), bundled) as agent:
        assert await agent.wait_for_frame(0, timeout_seconds=15)
        assert (folder / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
        said: list[str] = []
        answer = await ask_agent(folder, "yard", QUESTION, None, say=said.append)
        assert answer["answer"] == "".join(said).strip()
        assert answer["answer"].startswith("The gate is ")
        assert answer["evidence"][-1]["tier"] == "ring"
        with pytest.raises(QuestionError, match="no camera 'street'; the agent watches yard"):
            await ask_agent(folder, "street", QUESTION, None, say=said.append)
        with pytest.raises(QuestionError, match=r"nothing of yard from then|archive is empty|knows no camera"):
            await ask_agent(folder, "yard", QUESTION, Span(1_000_000.0), say=said.append)
        command = [sys.executable, "run_stream.py", "ask", "yard", QUESTION, "--archive", str(folder), "--json"]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=120, check=False, cwd=REPO
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["evidence"][-1]["tier"] == "ring"
    assert not (folder / SOCKET_NAME).exists()
    assert await ask_agent(folder, "yard", QUESTION, None, say=print) is None


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"no json\n",
        b"[1]\n",
        b'{"camera": "yard"}\n',
        b'{"camera": "yard", "question": 5}\n',
        b'{"camera": "yard", "question": "?", "until": "noon"}\n',
        b'{"camera": "yard", "question": "?", "until": 1, "since": 2}\n',
        b"\xff\xfe\n",
        b"x" * (2 * REQUEST_BYTES) + b"\n",
    ],
)
async def test_what_is_no_request_is_told_so(folder, line):
    async with serving(folder, _never):
        assert await sent(folder, line) == {"error": "expected one line of JSON with camera and question"}


async def test_more_clients_than_can_be_served_are_told(folder):
    async with serving(folder, _never):
        idle = [await asyncio.open_unix_connection(folder / SOCKET_NAME) for _ in range(MAX_CLIENTS)]
        await asyncio.sleep(0.1)
        told = await sent(folder, b"")
        assert told["error"].startswith(f"{MAX_CLIENTS} others are asking already")
        for _, writer in idle:
            writer.close()


async def test_a_socket_that_was_left_behind_is_taken_over_and_one_in_use_is_not(folder, caplog):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / SOCKET_NAME))
    left.close()
    async with serving(folder, _never):
        assert "error" in await sent(folder, b"\n")
        with pytest.raises(TimeoutError):  # it goes on trying
            await asyncio.wait_for(serve(folder, _never, look_seconds=0.02), timeout=0.5)
        assert caplog.text.count("another agent is asked there") == 1
        assert "error" in await sent(folder, b"\n")


async def test_whose_socket_is_in_use_is_asked_when_the_other_has_ended(folder):
    async with serving(folder, _never):
        other = asyncio.ensure_future(serve(folder, _refuse, look_seconds=0.02))
        await asyncio.sleep(0.1)
    await _until(lambda: (folder / SOCKET_NAME).exists())
    assert (await sent(folder, b'{"camera": "yard", "question": "?"}\n'))["error"] == "I am the other"
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert not (folder / SOCKET_NAME).exists()


async def test_a_socket_that_was_deleted_is_made_anew_and_so_is_its_folder(folder):
    within = folder / "archive"
    within.mkdir()
    async with serving(within, _never, look_seconds=0.02):
        (within / SOCKET_NAME).unlink()
        await _until(lambda: (within / SOCKET_NAME).exists())
        assert "error" in await sent(within, b"\n")
        shutil.rmtree(within)
        await asyncio.sleep(0.1)
        within.mkdir()  # as the archive does
        await _until(lambda: (within / SOCKET_NAME).exists())
        assert "error" in await sent(within, b"\n")
        assert (within / SOCKET_NAME).stat().st_mode & 0o777 == 0o600


def test_who_asks_waits_for_no_model_library():
    loaded = "import sys, run_stream, streamer.client, streamer.evidence_line; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, timeout=60, cwd=REPO, check=True
    )
    assert "streamer.client" in done.stdout.split()
    assert not {"torch", "transformers", "av", "cv2"} & set(done.stdout.split())


async def test_a_path_that_is_too_long_is_told_and_nothing_else(tmp_path, caplog):
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(serve(folder, _never, look_seconds=0.02), timeout=0.5)
    assert caplog.text.count("cannot be asked from another terminal") == 1


def _never(*asked: object) -> Asked:
    raise AssertionError(f"it was asked: {asked}")


def _refuse(*_asked: object) -> Asked:
    raise QuestionError("I am the other")


async def _until(is_so):
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(folder, ask, **options):
    """Until it listens; then it is taken down."""
    task = asyncio.ensure_future(serve(folder, ask, **options))
    async with asyncio.timeout(5):
        while not await _listens(folder):  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _listens(folder) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(folder / SOCKET_NAME)
    except OSError:
        return False
    writer.close()
    return True
