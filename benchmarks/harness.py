"""What all benchmarks share: who measured, with what, and where the result is written."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import psutil
import torch

from llm.huggingface import HuggingFaceModel, load

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("torch", "transformers", "av", "aiomqtt", "triton", "numpy", "numba", "llvmlite", "opencv-python-headless")


def environment() -> dict[str, Any]:
    """Machine, versions and commit of this run."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "processor": _processor(),
            "cores": len(psutil.Process().cpu_affinity()),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "load_average_at_start": psutil.getloadavg()[0],
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }


def write_result(name: str, figures: dict[str, Any], *, machine: dict[str, Any]) -> Path:
    """Writes benchmarks/results/`name`.json and returns its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"benchmark": name, **machine, "figures": figures}, indent=2) + "\n")
    return path


@contextmanager
def processes() -> Iterator[Pool]:
    """One per core, one thread each, with the bundled checkpoint at hand as `bundled()`."""
    with get_context("spawn").Pool(len(os.sched_getaffinity(0)), initializer=bundled) as pool:
        yield pool


@cache
def bundled() -> HuggingFaceModel:
    """In a process of `processes`."""
    torch.set_num_threads(1)
    return load("bundled")


def _commit() -> str:
    """The commit, with "+" where the tree has changes."""
    root = Path(__file__).parent
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    changes = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no", "--", ":!results"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return (head.stdout.strip() or "unknown") + ("+" if changes.stdout.strip() else "")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
