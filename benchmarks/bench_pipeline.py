"""From file to long-term memory: frames per second, flat memory, and no frame lost while questions are answered.

`python -m benchmarks.bench_pipeline`; the yard draws the clip first, as H.264, so it needs no other file.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import deque
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import av
import psutil
import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.harness import environment, write_result
from llm.base import LanguageModel
from llm.huggingface import load
from streamer.agent import run_agent
from streamer.allocator import share_one_heap
from streamer.settings import Settings
from streamer.yard.render import render
from streamer.yard.world import World

CLIP_FRAMES, CLIP_FPS = 3000, 10
CLIP_START_SECONDS = 1_795_350_000.0
MARKS = (1_000, 10_000, 50_000)
HOST_WINDOW_FRAMES = 500
QUESTIONS = 20
QUESTIONS_SECONDS = 60.0
CAMERA_FPS = 2.0


def main(
    num_frames: Annotated[int, typer.Option(min=MARKS[1], help="Frames of the memory run.")] = MARKS[-1],
) -> None:
    """Three measurements, one JSON result."""
    share_one_heap()
    machine = environment()
    model = load("bundled")
    with tempfile.TemporaryDirectory() as folder, Progress() as progress:
        clip = Path(folder) / "yard.mp4"
        _draw_clip(clip, progress)
        figures = {
            "clip": {"frames": CLIP_FRAMES, "size": [640, 360], "codec": "h264", "fps": CLIP_FPS},
            "file_to_memory": asyncio.run(_file_to_memory(model, clip, num_frames, progress)),
            "questions": asyncio.run(_questions(model, progress)),
        }
    _show(figures)
    Console().print("written to", write_result("pipeline", figures, machine=machine).name)


def _draw_clip(clip: Path, progress: Progress) -> None:
    world = World(7)
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=CLIP_FPS, options={"preset": "veryfast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for index in progress.track(range(CLIP_FRAMES), description="drawing the clip"):
            pixels = render(world.state_at(CLIP_START_SECONDS + index / CLIP_FPS))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


async def _file_to_memory(model: LanguageModel, clip: Path, num_frames: int, progress: Progress) -> dict[str, Any]:
    """Every frame of the clip is decoded, encoded and remembered, again and again, by one agent after another pass."""
    host = HostBytes()
    bar = progress.add_task("file to memory", total=num_frames)
    marks: list[dict[str, Any]] = []
    rates: list[float] = []
    num_done = 0
    settings = Settings.model_validate(
        {"cameras": {"yard": {"url": str(_looped(clip, num_frames)), "fps": 60, "skip_still": False}}}
    )
    async with run_agent(settings, model) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        began, last, last_done = time.monotonic(), time.monotonic(), agent.report(0).num_encoded
        due = [mark for mark in MARKS if mark <= num_frames]
        while num_done < num_frames and not agent.cameras[0].ended.is_set():
            await asyncio.sleep(0.05)
            report = agent.report(0)
            num_done = report.num_encoded
            host.sample(num_done)
            progress.update(bar, completed=num_done)
            if (passed := time.monotonic() - last) >= 5:
                rates.append((num_done - last_done) / passed)
                last, last_done = time.monotonic(), num_done
            if due and num_done >= due[0]:
                marks.append(_mark(host, agent.memory.nbytes, due.pop(0), num_done, report.fill.long_term_slots))
        total_seconds = time.monotonic() - began
        report = agent.report(0)
        notes, notes_skipped = agent.remember.num_notes, agent.remember.num_notes_skipped
    return {
        "frames": num_done,
        "frames_per_second_mean": round(num_done / total_seconds, 1),
        "frames_per_second_median_of_5_s": round(median(rates), 1) if rates else None,
        "frames_dropped": report.num_dropped + report.fill.num_overrun,
        "notes_written": notes,
        "notes_skipped": notes_skipped,
        "marks": marks,
        "host_growth_after_first_mark": round(marks[-1]["host_bytes"] / marks[0]["host_bytes"] - 1, 4),
        "memory_growth_after_first_mark": marks[-1]["memory_bytes"] / marks[0]["memory_bytes"] - 1,
    }


def _looped(clip: Path, num_frames: int) -> Path:
    """A file that holds the clip often enough: packets are copied, nothing is encoded again."""
    looped = clip.with_name("looped.mkv")
    with av.open(str(looped), "w") as output:
        written, offset, stream = 0, 0, None
        while written < num_frames + 200:
            with av.open(str(clip)) as source:
                track = source.streams.video[0]
                stream = stream or output.add_stream_from_template(track)
                step = round(1 / (CLIP_FPS * (track.time_base or Fraction(1, 1000))))
                for packet in source.demux(track):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.dts += offset
                    packet.pts += offset
                    packet.stream = stream
                    output.mux(packet)
                    written += 1
                offset += CLIP_FRAMES * step
    return looped


class HostBytes:
    """The process's resident bytes while the last `HOST_WINDOW_FRAMES` frames were handled.

    One reading says little: up to 16 pictures of 0.7 MB are in flight, and the allocator keeps what was just freed.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._samples: deque[tuple[int, int]] = deque()

    def sample(self, num_done: int) -> None:
        self._samples.append((num_done, self._process.memory_info().rss))
        while self._samples[0][0] <= num_done - HOST_WINDOW_FRAMES:
            self._samples.popleft()

    def summary(self) -> dict[str, int]:
        readings = sorted(rss for _, rss in self._samples)
        return {"host_bytes": int(median(readings)), "host_bytes_min": readings[0], "host_bytes_max": readings[-1]}

    @property
    def num_threads(self) -> int:
        return self._process.num_threads()


def _mark(host: HostBytes, memory_bytes: int, frames: int, at_frames: int, slots: int) -> dict[str, Any]:
    return {
        "frames": frames,
        "measured_at_frames": at_frames,
        **host.summary(),
        "memory_bytes": memory_bytes,
        "cuda_allocated_bytes": torch.cuda.memory_allocated() if torch.cuda.is_available() else None,
        "long_term_slots": slots,
        "threads": host.num_threads,
    }


async def _questions(model: LanguageModel, progress: Progress) -> dict[str, Any]:
    """The live yard at 2 frames per second encoded, while one question after the other is answered."""
    bar = progress.add_task("questions on a live camera", total=QUESTIONS_SECONDS)
    settings = Settings.model_validate(
        {"cameras": {"yard": {"url": "demo://yard?seed=7&speed=1", "fps": CAMERA_FPS, "skip_still": False}}}
    )
    first_token: list[float] = []
    total: list[float] = []
    async with run_agent(settings, model) as agent:
        await agent.wait_for_frame(0, timeout_seconds=15)
        await asyncio.sleep(12)
        before, began = agent.report(0), time.monotonic()
        while (passed := time.monotonic() - began) < QUESTIONS_SECONDS or len(total) < QUESTIONS:
            answer = await agent.ask(0, "What is in the yard now?").answer()
            first_token.append(answer.latency.first_token_seconds)
            total.append(answer.latency.total_seconds)
            progress.update(bar, completed=passed)
        await asyncio.sleep(1.0)
        after = agent.report(0)
    return {
        "questions": len(total),
        "encoded_fps_configured": CAMERA_FPS,
        "seconds": round(passed, 1),
        "frames_encoded_meanwhile": after.num_encoded - before.num_encoded,
        "frames_expected_meanwhile": int((passed + 1.0) * CAMERA_FPS),
        "frames_lost": after.num_dropped - before.num_dropped + after.fill.num_overrun - before.fill.num_overrun,
        "first_token_seconds_median": round(median(first_token), 3),
        "first_token_seconds_max": round(max(first_token), 3),
        "answer_seconds_median": round(median(total), 3),
    }


def _show(figures: dict[str, Any]) -> None:
    table = Table("figure", "value", title="pipeline")
    for part in ("file_to_memory", "questions"):
        for name, value in figures[part].items():
            if name == "marks":
                for mark in value:
                    host, memory = mark["host_bytes"] / 1e6, mark["memory_bytes"] / 1e6
                    table.add_row(f"at {mark['frames']:,} frames", f"host {host:.1f} MB, memory {memory:.1f} MB")
            else:
                table.add_row(name.replace("_", " "), str(value))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
