"""What a checkpoint needs of a device before it is loaded, and whether it fits; it loads nothing itself."""

from __future__ import annotations

import functools
import itertools
import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from llm.hardware import Quantize
from llm.shapes import ANSWER_TOKENS, Shape
from llm.sizes import gigabytes
from memory import Memory

BYTES_PER_QUANTISED = {"8bit": 1.0, "4bit": 0.52}
"""4 bits, and per 64 weights a scale of 8 bits that is scaled itself (nf4, "double quantisation")."""
ENCODED_AT_ONCE = 8
CHUNK_TOKENS = {"cpu": 256, "cuda": 2048}
RUNTIME_BYTES = {"cpu": 100_000_000, "cuda": 700_000_000}
"""Libraries and their buffers: on a CPU measured (docs/log.md), on CUDA a guess, not measured yet."""
LOADING_SHARE = 0.08
"""Of the weights: what loading leaves behind; measured on a CPU (docs/log.md)."""


@dataclass(frozen=True)
class Needs:
    """Bytes on the device."""

    weights: int
    cache: int
    """Keys and values of the longest prompt and its answer."""
    memory: int
    """Long-term memory, rings and evidence of all cameras."""
    working: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.memory + self.working

    def __str__(self) -> str:
        return (
            f"{gigabytes(self.total)} (weights {gigabytes(self.weights)}, a prompt {gigabytes(self.cache)}, memory "
            f"{gigabytes(self.memory)}, working space {gigabytes(self.working)})"
        )


def needs(
    shape: Shape,
    *,
    dtype: torch.dtype,
    device: str,
    quantize: Quantize | None = None,
    num_cameras: int = 1,
    max_slots: int = 64,
) -> Needs:
    """What a checkpoint of `shape` needs with weights and tokens in `dtype` on a `device` of this type."""
    size = dtype.itemsize
    small = shape.num_linear if quantize else 0
    weights = (shape.num_parameters - small) * size + small * BYTES_PER_QUANTISED.get(quantize or "", 0.0)
    length = shape.prompt_tokens + ANSWER_TOKENS
    windowed, window = shape.windowed
    cache = (shape.values_per_token * length + windowed * min(length, window)) * size
    memory = memory_bytes(num_cameras, num_tokens=shape.num_tokens, width=shape.width, dtype=dtype, max_slots=max_slots)
    height, width = shape.pixels
    pictures = ENCODED_AT_ONCE * (height * width * 3 * (4 + 2 * size) + shape.seen_values * size)
    prefill = CHUNK_TOKENS.get(device, 2048) * 8 * shape.widest * size
    working = max(pictures, prefill) + LOADING_SHARE * weights + RUNTIME_BYTES.get(device, RUNTIME_BYTES["cuda"])
    return Needs(int(weights), int(cache), memory, int(working))


def memory_bytes(num_cameras: int, *, num_tokens: int, width: int, dtype: torch.dtype, max_slots: int) -> int:
    """What `Memory` of this shape allocates, told by tiny ones: it grows evenly with cameras, with N and with W."""
    asked = (num_cameras, num_tokens, width)
    return sum(
        math.prod(count - 1 if at == 2 else 2 - count for count, at in zip(asked, corner, strict=True))
        * _tiny_memory(*corner, dtype, max_slots)
        for corner in itertools.product((1, 2), repeat=3)
    )


@functools.cache
def _tiny_memory(num_cameras: int, num_tokens: int, width: int, dtype: torch.dtype, max_slots: int) -> int:
    return Memory(num_cameras, num_tokens=num_tokens, width=width, max_slots=max_slots, dtype=dtype).nbytes


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a CUDA device, or of this machine within its control group; None where nobody says."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    known = [free for free in (_available(), _left_in_group()) if free is not None]
    return min(known, default=None)


def _available(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024


def _left_in_group(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Under the tightest limit on the way up, version 2 or 1; what is kept of files there counts as free."""
    try:
        lines = [line.split(":", 2) for line in groups.read_text().splitlines()]
    except OSError:
        return None
    left: list[int] = []
    for _, controllers, path in lines:
        if controllers == "":
            base, limit, used, cached = root, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit, used = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = "total_inactive_file"
        else:
            continue
        here = base / path.lstrip("/")
        for folder in (here, *here.parents):
            if not folder.is_relative_to(base):
                break
            left += _left(folder, limit, used, cached)
    return min(left, default=None)


def _left(folder: Path, limit: str, used: str, cached: str) -> list[int]:
    try:
        most, taken = (folder / limit).read_text().strip(), int((folder / used).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return []
    if not most.isdigit() or int(most) >= 1 << 60:  # no limit, in the words of either version
        return []
    return [max(0, int(most) - taken + int(statistics.get(cached, 0)))]
