"""The same cameras with the whole agent behind them: bundled encoder and memory at work, no question asked."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psutil

from benchmarks.capture.cameras import LOOKED_AT_FPS
from llm.base import LanguageModel
from streamer.agent import run_agent
from streamer.clock import wall_seconds
from streamer.settings import Settings

__all__ = ["measure"]

_SETTLE_SECONDS = 8.0


async def measure(url: str, model: LanguageModel, *, num_cameras: int, seconds: float) -> dict[str, Any]:
    """Frames encoded per second and camera, frames lost, and the age of the newest frame, the greatest of all."""
    cameras = {f"camera{number}": {"url": url, "fps": LOOKED_AT_FPS} for number in range(1, num_cameras + 1)}
    process, newest_seconds = psutil.Process(), 0.0
    async with run_agent(Settings.model_validate({"cameras": cameras}), model) as agent:
        await asyncio.sleep(_SETTLE_SECONDS)
        before, cpu_before, began = _counts(agent), sum(process.cpu_times()[:2]), time.monotonic()
        while time.monotonic() - began < seconds:
            await asyncio.sleep(0.25)
            ages = [wall_seconds() - (camera.newest_frame_seconds or 0.0) for camera in agent.cameras]
            newest_seconds = max(newest_seconds, *ages)
        passed = time.monotonic() - began
        encoded, lost = (after - earlier for after, earlier in zip(_counts(agent), before, strict=True))
        cpu = (sum(process.cpu_times()[:2]) - cpu_before) / passed
    return {
        "num_cameras": num_cameras,
        "encoded_per_second_and_camera": round(encoded / passed / num_cameras, 2),
        "lost": lost,
        "newest_seconds": round(newest_seconds, 2),
        "cpu_seconds_per_second": round(cpu, 2),
    }


def _counts(agent: Any) -> tuple[int, int]:
    reports = [agent.report(camera) for camera in range(len(agent.cameras))]
    return sum(report.num_encoded for report in reports), sum(
        report.num_dropped + report.fill.num_overrun for report in reports
    )
