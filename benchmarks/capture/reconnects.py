"""What a thousand reconnects leave behind: memory, threads, file descriptors."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import psutil

from streamer.capture import Camera
from streamer.patience import Patience
from streamer.secret import SecretUrl
from streamer.settings import CameraSettings
from streamer.source import open_source
from tests.rig.servers import RtspServer
from tests.rig.streams import SlammingServer

__all__ = ["measure"]

_QUICK = Patience(first_pause=0.002, longest_pause=0.005)


async def measure(server: RtspServer, path: str, *, num_slammed: int, num_real: int) -> dict[str, Any]:
    """One camera whose server hangs up at once, again and again; and real streams that are opened and left."""
    slammed = await _slammed(num_slammed)
    real = await asyncio.to_thread(_real, server.url(path), num_real)
    return {"server_hangs_up": slammed, "real_streams_left": real}


async def _slammed(num_reconnects: int) -> dict[str, Any]:
    server = SlammingServer()
    settings = CameraSettings.model_validate({"name": "slammed", "url": f"rtsp://127.0.0.1:{server.port}/x"})
    before: dict[str, int] = {}
    try:
        async with Camera(settings, arrived=asyncio.Event(), patience=_QUICK) as camera:
            while camera.num_reconnects < num_reconnects:
                await asyncio.sleep(0.05)
                if not before and camera.num_reconnects > num_reconnects // 10:
                    before = _held()
            return {"reconnects": camera.num_reconnects, "after_a_tenth": before, "at_the_end": _held()}
    finally:
        server.close()


def _real(url: str, num_times: int) -> dict[str, Any]:
    settings = CameraSettings(name="real", url=SecretUrl.parse(url))
    before: dict[str, int] = {}
    halfway: dict[str, int] = {}
    for number in range(num_times):
        with open_source(settings, quit=threading.Event()) as source:
            next(iter(source)).rgb()
        if number == num_times // 10:
            before = _held()
        if number == num_times // 2:
            halfway = _held()
    return {"reconnects": num_times, "after_a_tenth": before, "after_half": halfway, "at_the_end": _held()}


def _held() -> dict[str, int]:
    gc.collect()
    process = psutil.Process()
    return {
        "rss_bytes": process.memory_info().rss,
        "threads": process.num_threads(),
        "file_descriptors": process.num_fds(),
    }
