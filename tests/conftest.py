"""Fixtures all tests share: ports, real servers, real clips, and what happens where something is missing.

LONGWATCH_REQUIRE="rtsp,mqtt,browser,data" turns the skips for what it names into failures; FAIL_WITHOUT_CUDA=1 does so
for a GPU.
"""

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rig.broker import Broker, mosquitto_missing
from tests.rig.servers import RtspServer, free_port, start_rtsp_server

if TYPE_CHECKING:
    from llm.huggingface import HuggingFaceModel

_SCHEDULER = os.sched_getscheduler(0)
REPO = Path(__file__).parents[1]
_GI_PROBE = (
    "import sys; sys.path.append('/usr/lib/python3/dist-packages'); import gi; "
    "gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
)


def skip_or_fail(what: str, reason: str) -> None:
    """Skips the test, or fails it if LONGWATCH_REQUIRE names what is missing."""
    required = {word.strip() for word in os.environ.get("LONGWATCH_REQUIRE", "").split(",")}
    if what in required:
        pytest.fail(f"{what} is required by LONGWATCH_REQUIRE, but {reason}")
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") is not None and not _has_cuda():
        if os.environ.get("FAIL_WITHOUT_CUDA") == "1":
            pytest.fail("FAIL_WITHOUT_CUDA=1, but there is no CUDA device")
        pytest.skip("there is no CUDA device")
    if item.get_closest_marker("rtsp") is not None and (missing := _rtsp_server_missing()):
        skip_or_fail("rtsp", f"the GStreamer RTSP server cannot be used: {missing}; see CONTRIBUTING.md")
    if item.get_closest_marker("mqtt") is not None and (missing := mosquitto_missing()):
        skip_or_fail("mqtt", f"Mosquitto and its clients are not installed ({missing}); see CONTRIBUTING.md")


@pytest.fixture(autouse=True)
def ordinary_scheduling() -> Iterator[None]:
    """No test leaves this thread at a real-time priority: what comes after it would starve the servers it talks to."""
    yield
    assert os.sched_getscheduler(0) == _SCHEDULER


@functools.cache
def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@functools.cache
def _rtsp_server_missing() -> str:
    """ "" if the server's libraries are there, else the reason."""
    done = subprocess.run([sys.executable, "-c", _GI_PROBE], capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it says nothing"])[-1]


@pytest.fixture
def port() -> int:
    """A free TCP port."""
    return free_port()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real clips: LONGWATCH_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("LONGWATCH_DATA") or REPO.parent / "shared" / "data")
    if not (folder / "vtest_h264.mp4").is_file():
        skip_or_fail("data", f"the real clips are not in {folder}; name their folder in LONGWATCH_DATA")
    return folder


@pytest.fixture
def rtsp_server(data_folder: Path) -> Iterator[Callable[..., RtspServer]]:
    """`rtsp_server(auth=("digest", "user", "password"))` starts a real server with vtest_h264.mp4 at /live."""
    started: list[RtspServer] = []

    def start(
        *,
        port: int | None = None,
        auth: tuple[str, str, str] | None = None,
        corrupt: float = 0.0,
        file: str = "vtest_h264.mp4",
    ) -> RtspServer:
        server = start_rtsp_server({"live": data_folder / file}, port=port or free_port(), auth=auth, corrupt=corrupt)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A real Mosquitto that anyone may use; stop it, change it, and start it again."""
    broker = Broker(tmp_path, free_port())
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def bundled() -> "HuggingFaceModel":
    """The checkpoint that ships with the project, loaded once."""
    from llm.huggingface import load

    return load("bundled", device="cpu")
