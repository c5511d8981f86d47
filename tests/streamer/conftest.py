"""Fixtures of the camera tests: RTSP servers of any mounts, and a clip whose pictures carry their number."""

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from av.bitstream import BitStreamFilterContext

from tests.streamer.watching import Servers, counting_clip


@pytest.fixture
def serve() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return counting_clip(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def pictureless(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """MPEG-TS of 100 H.264 packets and no key frame: nothing in it can be decoded."""
    folder = tmp_path_factory.mktemp("pictureless")
    clip, path = counting_clip(folder, num_frames=110), folder / "pictureless.ts"
    with av.open(clip) as source, av.open(path, "w") as target:
        stream = source.streams.video[0]
        with_head = BitStreamFilterContext("h264_mp4toannexb,dump_extra=freq=all", stream)
        out = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            for filtered in with_head.filter(packet) if packet.size and not packet.is_keyframe else ():
                filtered.stream = out
                target.mux(filtered)
    return path.read_bytes()
