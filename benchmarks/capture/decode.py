"""How fast pictures are decoded from a file: ours, a bare PyAV loop and OpenCV, in turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import av
import cv2

from streamer.av_source import AvSource
from streamer.sampling import Sampler
from streamer.secret import SecretUrl

__all__ = ["measure"]


def measure(clip: Path, *, num_rounds: int) -> dict[str, Any]:
    """Frames per second of each way (median), and ours by PyAV's: the median of rounds that ran back to back."""
    ways: dict[str, Callable[[Path], int]] = {
        "ours": _ours,
        "pyav": _pyav,
        "ours_2_fps_as_rgb": _ours_sampled,
        "videocapture_grab": _videocapture_grab,
        "videocapture_read": _videocapture_read,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for name in ("ours", "pyav"):
        ways[name](clip)  # once for the caches
    for number in range(num_rounds):
        order = list(ways) if number % 2 else list(reversed(ways))
        for name in order:
            began, cpu_began = time.perf_counter(), time.process_time()
            num_frames = ways[name](clip)
            rates[name].append(num_frames / (time.perf_counter() - began))
            cpu[name].append((time.process_time() - cpu_began) / num_frames)
    return {
        "ratio_to_pyav": round(median(ours / bare for ours, bare in zip(rates["ours"], rates["pyav"], strict=True)), 3),
        "cpu_ratio_to_pyav": round(median(cpu["pyav"]) / median(cpu["ours"]), 3),
        "frames_per_second": {name: round(median(each), 1) for name, each in rates.items()},
        "cpu_milliseconds_per_frame": {name: round(1000 * median(each), 2) for name, each in cpu.items()},
        "rounds": num_rounds,
    }


def _open(clip: Path) -> AvSource:
    return AvSource.open(
        SecretUrl.parse(str(clip)),
        kind="file",
        speed=None,
        start_seconds=0.0,
        quit=threading.Event(),
        open_timeout_seconds=10,
        read_timeout_seconds=10,
    )


def _ours(clip: Path) -> int:
    with _open(clip) as source:
        return sum(1 for _picture in source)


def _ours_sampled(clip: Path) -> int:
    sampler, num_pictures = Sampler(2.0), 0
    with _open(clip) as source:
        for picture in source:
            num_pictures += 1
            if sampler.wants(picture.time_seconds):
                picture.rgb()
    return num_pictures


def _pyav(clip: Path) -> int:
    """The same threading as ours, as for every file."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for _frame in container.decode(stream))


def _videocapture_grab(clip: Path) -> int:
    capture, num_pictures = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG), 0
    while capture.grab():
        num_pictures += 1
    capture.release()
    return num_pictures


def _videocapture_read(clip: Path) -> int:
    """As most programs use it: every picture becomes BGR."""
    capture, num_pictures = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG), 0
    while capture.read()[0]:
        num_pictures += 1
    capture.release()
    return num_pictures
