"""How many live cameras this machine carries, and what one costs, with 2 frames per second looked at.

A camera is carried where every packet is read in time, no picture is left out for want of time, and the newest picture
stays fresh. Measured without encoder and memory: demuxing, decoding, change detection, and conversion to RGB.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from benchmarks.capture.scenes import FPS
from streamer.capture import Camera
from streamer.clock import wall_seconds
from streamer.settings import CameraSettings
from tests.rig.servers import RtspServer

__all__ = ["Carried", "by_cpu", "measure"]

LOOKED_AT_FPS = 2.0
KEY_FRAME_SECONDS = 2.0
SETTLE_SECONDS = {"busy": 3.0, "still": 9.0}
_GROUP = 4
_GROUP_SECONDS = 0.8
_MOST_LOST = 0.05
_SLACK_SECONDS = 1.0
_ATTEMPTS = 4
_DISTURBED = 0.3  # seconds of CPU per second that other programs may take before a failure is theirs


@dataclass(frozen=True, slots=True)
class Carried:
    """What so many cameras cost over a few seconds, and whether all of them were carried.

    cpu_per_camera           seconds of CPU per second, in this process
    server_cpu               likewise, of the RTSP server that shares the machine, for all of them
    read                     share of the packets that were read, of the worst camera
    left_out                 share of the packets that were not decoded; a still scene leaves most out on purpose
    newest_seconds           age of the newest picture, the greatest of all cameras and times
    others_cpu               seconds of CPU per second that other programs took meanwhile
    rss_bytes                of this process, with torch and the benchmark itself
    """

    num_cameras: int
    is_carried: bool
    cpu_per_camera: float
    server_cpu: float
    read: float
    left_out: float
    newest_seconds: float
    frames_per_second_and_camera: float
    unchanged_per_second_and_camera: float
    dropped: int
    others_cpu: float
    rss_bytes: int


async def measure(
    server: RtspServer, path: str, scene: str, *, steps: Sequence[int], seconds: float, limit_seconds: float
) -> list[Carried]:
    """One fleet that grows step by step, until it is not carried any more, or the time is up."""
    began = time.monotonic()
    done: list[Carried] = []
    async with contextlib.AsyncExitStack() as stack:
        fleet = _Fleet(server.url(path))
        consumer = asyncio.create_task(fleet.consume(), name="consumer")
        stack.callback(consumer.cancel)
        for num_cameras in steps:
            if done and time.monotonic() - began > limit_seconds:
                break
            while len(fleet.cameras) < num_cameras:
                await stack.enter_async_context(fleet.new_camera())
                if len(fleet.cameras) % _GROUP == 0:
                    await asyncio.sleep(_GROUP_SECONDS)
            for _attempt in range(_ATTEMPTS):
                await asyncio.sleep(SETTLE_SECONDS[scene])
                done.append(await fleet.watch(server, scene, seconds=seconds))
                if done[-1].is_carried or done[-1].others_cpu < _DISTURBED:
                    break
            if not done[-1].is_carried:
                break
    return done


def by_cpu(steps: Sequence[Carried]) -> int:
    """How many cameras would keep all cores busy, by what each cost where all were carried, the server's part in it."""
    costs = [step.cpu_per_camera + step.server_cpu / step.num_cameras for step in steps if step.is_carried]
    return int((psutil.cpu_count() or 1) / min(costs)) if costs else 0


class _Fleet:
    """Cameras on one stream, and the one who takes their frames at once."""

    def __init__(self, url: str) -> None:
        self.cameras: list[Camera] = []
        self._url = url
        self._arrived = asyncio.Event()
        self._num_frames = 0
        self._num_unchanged = 0

    def new_camera(self) -> Camera:
        settings = {"name": f"camera{len(self.cameras) + 1}", "url": self._url, "fps": LOOKED_AT_FPS}
        camera = Camera(CameraSettings.model_validate(settings), arrived=self._arrived)
        self.cameras.append(camera)
        return camera

    async def consume(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            for camera in self.cameras:
                if (frame := camera.take_nowait()) is not None:
                    self._num_frames += not frame.is_still
                    self._num_unchanged += frame.num_unchanged + frame.is_still

    async def watch(self, server: RtspServer, scene: str, *, seconds: float) -> Carried:
        """Counts for so many seconds."""
        own, other = psutil.Process(), psutil.Process(server.process.pid)
        psutil.cpu_percent()
        before, began = self._counts(own, other), time.monotonic()
        newest_seconds = 0.0
        while time.monotonic() - began < seconds:
            await asyncio.sleep(0.25)
            newest_seconds = max(newest_seconds, *(self._age(camera) for camera in self.cameras))
        passed = time.monotonic() - began
        machine_cpu = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        after = self._counts(own, other)
        own_cpu, server_cpu = ((after[name][0] - before[name][0]) / passed for name in ("cpu", "server_cpu"))
        packets = [b - a for a, b in zip(before["packets"], after["packets"], strict=True)]
        skipped = sum(after["skipped"]) - sum(before["skipped"])
        read = min(packets) / (FPS * passed)
        left_out = skipped / max(1, sum(packets))
        may_be_old = _SLACK_SECONDS + (1 / LOOKED_AT_FPS if scene == "busy" else KEY_FRAME_SECONDS)
        num_cameras = len(self.cameras)
        is_carried = read > 1 - _MOST_LOST and newest_seconds <= may_be_old
        if scene == "busy":
            is_carried &= left_out < _MOST_LOST
        return Carried(
            num_cameras=num_cameras,
            is_carried=bool(is_carried),
            cpu_per_camera=round(own_cpu / num_cameras, 4),
            server_cpu=round(server_cpu, 3),
            read=round(read, 3),
            left_out=round(left_out, 3),
            newest_seconds=round(newest_seconds, 3),
            frames_per_second_and_camera=round((after["frames"][0] - before["frames"][0]) / passed / num_cameras, 2),
            unchanged_per_second_and_camera=round(
                (after["unchanged"][0] - before["unchanged"][0]) / passed / num_cameras, 2
            ),
            dropped=int(sum(after["dropped"]) - sum(before["dropped"])),
            others_cpu=round(max(0.0, machine_cpu - own_cpu - server_cpu), 2),
            rss_bytes=own.memory_info().rss,
        )

    def _counts(self, own: psutil.Process, other: psutil.Process) -> dict[str, list[float]]:
        return {
            "packets": [camera.counts.num_packets for camera in self.cameras],
            "skipped": [camera.counts.num_skipped for camera in self.cameras],
            "dropped": [camera.num_dropped for camera in self.cameras],
            "cpu": [sum(own.cpu_times()[:2])],
            "server_cpu": [sum(other.cpu_times()[:2])],
            "frames": [self._num_frames],
            "unchanged": [self._num_unchanged],
        }

    def _age(self, camera: Camera) -> float:
        newest = camera.newest_frame_seconds
        return float("inf") if newest is None else wall_seconds() - newest
