"""How old a picture is when it is handed over: the server's clock to our hands, with a fast and with a slow consumer.

The pictures carry their number, and the server tells when the first one went out; both run on one machine's clock.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.capture.scenes import COUNTED, FPS
from streamer.capture import Camera
from streamer.settings import CameraSettings
from tests.rig.clips import number_in
from tests.rig.servers import RtspServer

__all__ = ["measure"]

SLOWER = 10
SETTLE_SECONDS = 3.0


class _Lags:
    """Lags of one consumer, by the numbers in its pictures."""

    def __init__(self, server: RtspServer, path: str) -> None:
        self._server = server
        self._path = path
        self._number: int | None = None
        self._began = time.monotonic()
        self.seconds: list[float] = []
        self.at_seconds: list[float] = []

    def note(self, pixels: NDArray[np.uint8]) -> None:
        """Number by number upwards; only the first one's round must be guessed: the newest that is possible."""
        now, number = time.monotonic(), number_in(pixels)
        if number is None:
            return
        started = self._server.feed_started_seconds(self._path)
        if self._number is None:
            newest = int((now - started) * FPS)
            self._number = newest - (newest - number) % COUNTED
        else:
            self._number += (number - self._number) % COUNTED
        self.seconds.append(now - started - self._number / FPS)
        self.at_seconds.append(now - self._began)

    def figures(self) -> dict[str, Any]:
        settled = [lag for lag, at in zip(self.seconds, self.at_seconds, strict=True) if at > SETTLE_SECONDS]
        if not settled:
            return {"pictures": 0, "p50": None, "p99": None, "last": None}
        p50, p99 = np.percentile(settled, [50, 99]).tolist()
        return {
            "pictures": len(settled),
            "p50": round(p50, 4),
            "p99": round(p99, 4),
            "last": round(settled[-1], 4),
        }


async def measure(server: RtspServer, path: str, *, seconds: float) -> dict[str, Any]:
    """Four consumers of one stream at the same time, for so many seconds."""
    pauses = {"fast_consumer": 0.0, "slow_consumer": SLOWER / FPS}
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    quit = threading.Event()
    theirs = {name: _Lags(server, path) for name in pauses}
    threads = [
        threading.Thread(target=_videocapture, args=(server.url(path), theirs[name], pause, quit), name=name)
        for name, pause in pauses.items()
    ]
    for thread in threads:
        thread.start()
    try:
        ours = await asyncio.gather(*(_ours(server, path, pause, seconds) for pause in pauses.values()))
    finally:
        quit.set()
        await asyncio.gather(*(asyncio.to_thread(thread.join, 15) for thread in threads))
    figures: dict[str, Any] = {f"ours_{name}": lags.figures() for name, lags in zip(pauses, ours, strict=True)}
    figures |= {f"videocapture_{name}": lags.figures() for name, lags in theirs.items()}
    return {**figures, "seconds": seconds, "slow_consumer_takes_seconds": round(SLOWER / FPS, 3), "fps": FPS}


async def _ours(server: RtspServer, path: str, pause_seconds: float, seconds: float) -> _Lags:
    settings = {"name": "lag", "url": server.url(path), "fps": 60, "skip_still": False}
    arrived, lags = asyncio.Event(), _Lags(server, path)
    async with Camera(CameraSettings.model_validate(settings), arrived=arrived) as camera:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            arrived.clear()
            if (frame := camera.take_nowait()) is not None:
                lags.note(frame.pixels)
                await asyncio.sleep(pause_seconds)
                continue
            try:
                async with asyncio.timeout(1):
                    await arrived.wait()
            except TimeoutError:
                continue
    return lags


def _videocapture(url: str, lags: _Lags, pause_seconds: float, quit: threading.Event) -> None:
    """The usual loop: read, work, read."""
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    while not quit.is_set():
        read, bgr = capture.read()
        if not read:
            break
        lags.note(np.asarray(bgr, np.uint8))
        quit.wait(pause_seconds)
    capture.release()
