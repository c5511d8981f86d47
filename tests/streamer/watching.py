"""What tests of cameras share: settings of a camera called front, and waiting for its frames and states."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from streamer.capture import Camera
from streamer.frame import Frame
from streamer.settings import CameraSettings
from tests.rig.clips import Clip, chart, encode
from tests.rig.servers import RtspServer, free_port, start_rtsp_server

FPS = 10


def settings(url: object, **fields: object) -> CameraSettings:
    """Every picture counts here, still or not, unless a test wants it otherwise."""
    return CameraSettings.model_validate({"name": "front", "url": str(url), "skip_still": False, **fields})


async def frames(camera: Camera, arrived: asyncio.Event, *, within_seconds: float = 15.0) -> AsyncIterator[Frame]:
    """Frames as they arrive, until the camera ended; fails when none comes in time."""
    while True:
        if (frame := camera.take_nowait()) is not None:
            yield frame
        elif camera.ended.is_set():
            return
        else:
            async with asyncio.timeout(within_seconds):
                await arrived.wait()
            arrived.clear()


async def take(camera: Camera, arrived: asyncio.Event, count: int) -> list[Frame]:
    taken: list[Frame] = []
    async with asyncio.timeout(20):
        async for frame in frames(camera, arrived):
            taken.append(frame)
            if len(taken) == count:
                break
    return taken


async def until(camera: Camera, *statuses: str, within_seconds: float = 15.0) -> None:
    async with asyncio.timeout(within_seconds):
        while camera.state.status not in statuses:
            await camera.changed.wait()
            camera.changed.clear()


async def holds(condition: Callable[[], bool], *, within_seconds: float = 10.0) -> None:
    """Until the condition holds, which no event tells of."""
    async with asyncio.timeout(within_seconds):
        while not condition():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.02)


def counting_clip(
    folder: Path,
    *,
    name: str = "counting.mp4",
    num_frames: int = 300,
    numbers: Sequence[int] | None = None,
    **clip: object,
) -> Path:
    """Pictures that carry their own number (or the given ones), 10 per second, a key frame each second."""
    shape = Clip(**{"fps": FPS, "options": {"g": "10"}, **clip})
    return encode(
        folder / name, (chart(shape.width, shape.height, number) for number in numbers or range(num_frames)), shape
    )


class Servers:
    """RTSP servers that are stopped when the test ends."""

    def __init__(self) -> None:
        self._started: list[RtspServer] = []

    def __call__(self, mounts: dict[str, Path], *, port: int | None = None, **options: object) -> RtspServer:
        server = start_rtsp_server(mounts, port=port or free_port(), **options)
        self._started.append(server)
        return server

    def stop(self) -> None:
        for server in self._started:
            server.stop()
