"""A real camera whose scene is still: it is decoded by its key frames alone, stays live, and misses nothing."""

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.capture import Camera
from streamer.clock import wall_seconds
from streamer.frame import Frame
from tests.rig.clips import Clip, encode
from tests.streamer.watching import FPS, Servers, frames, settings

SECONDS = 15.0
COMES, GOES = 113, 129
"""Pictures, ten per second, between which something moves; a key frame comes every second."""


def street() -> Iterator[NDArray[np.uint8]]:
    still = np.random.default_rng(0).integers(60, 180, (18, 32, 3)).repeat(10, axis=0).repeat(10, axis=1)
    for index in range(200):
        pixels = still.astype(np.uint8)
        pixels[::7, index % 7 :: 7] ^= 1  # a little noise
        if COMES <= index < GOES:
            left = 10 * (index - COMES)
            pixels[60:120, left : left + 30] = 250
        yield pixels


@pytest.mark.rtsp
async def test_a_still_camera_is_decoded_by_key_frames_and_what_comes_is_seen_from_the_start(
    serve: Servers, tmp_path: Path
) -> None:
    clip = encode(tmp_path / "still.mp4", street(), Clip(width=320, height=180, fps=FPS, options={"g": "10"}))
    server, arrived = serve({"live": clip}), asyncio.Event()
    taken: list[Frame] = []
    statuses: set[str] = set()
    async with Camera(settings(server.url("live"), fps=5, skip_still=True), arrived=arrived) as camera:
        started = time.monotonic()
        async for frame in frames(camera, arrived):
            taken.append(frame)
            statuses.add(camera.state.status)
            if time.monotonic() - started > SECONDS:
                break
        counts, num_decoded = camera.counts, camera.num_seen
        first = server.feed_started_seconds("live") + wall_seconds() - time.monotonic()

    news = [round(FPS * (frame.time_seconds - first)) for frame in taken if not frame.is_still]
    assert statuses == {"live"}
    assert not any(frame.gap_before for frame in taken)
    assert counts.num_skipped > 20, "most of the seconds 8 to 11"
    assert num_decoded + counts.num_skipped <= counts.num_packets
    assert counts.num_corrupt == 0
    seen = [number for number in news if COMES - 2 <= number <= GOES + 4]
    assert seen[0] <= COMES + 3, "the first of it was kept, and is dated back to when it came"
    assert len(seen) >= 6
    assert len(news) - len(seen) <= 6, "the first ones, and a heartbeat at most"
    assert [frame.time_seconds for frame in taken] == sorted(frame.time_seconds for frame in taken)
    assert max(later.time_seconds - before.end_seconds for before, later in pairwise(taken)) < 1.6
    assert camera.num_sampled == sum(frame.num_pictures for frame in taken) + camera.num_dropped
