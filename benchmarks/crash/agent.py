"""An agent that watches busy yards and tells what it consolidates, until it is killed.

`python -m benchmarks.crash.agent FOLDER`. Each line on standard output is one moment as JSON, told before it is
handed to the archive.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from llm.huggingface import load
from memory import Appended, Memory, Moment
from streamer.agent import run_agent
from streamer.settings import Settings

NUM_CAMERAS, FPS = 4, 5


def main(folder: Path) -> None:
    """For ever."""
    cameras = {
        f"yard{number}": {"url": f"demo://yard?lively=1&seed={number}", "fps": FPS} for number in range(NUM_CAMERAS)
    }
    settings = Settings.model_validate({"cameras": cameras, "archive": {"path": folder}})
    names = list(cameras)
    moments_of = Memory.moments

    def told(self: Memory, appended: Sequence[Appended]) -> list[tuple[int, list[Moment]]]:
        found = moments_of(self, appended)
        for camera, moments in found:
            for moment in moments:
                span = {"start_seconds": moment.start_seconds, "end_seconds": moment.end_seconds}
                print(json.dumps({"camera": names[camera], **span}), flush=True)
        return found

    Memory.moments = told  # type: ignore[method-assign]
    asyncio.run(_watch(settings))


async def _watch(settings: Settings) -> None:
    async with run_agent(settings, load("bundled")):
        await asyncio.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
