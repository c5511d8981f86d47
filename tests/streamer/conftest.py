"""Fixtures of the camera tests: RTSP servers of any mounts, and a clip whose pictures carry their number."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streamer.watching import Servers, counting_clip


@pytest.fixture
def serve() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return counting_clip(tmp_path_factory.mktemp("clips"))
