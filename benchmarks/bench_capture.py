"""Capture beside a bare PyAV loop and OpenCV's VideoCapture: decoding, lag, CPU per camera, cameras, reconnects.

`python -m benchmarks.bench_capture [--quick] [--json]`; it draws its own clips and serves them with the RTSP server of
the tests (CONTRIBUTING.md says what that needs).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.capture import cameras, decode, encoded, lag, reconnects
from benchmarks.capture.cameras import Carried
from benchmarks.capture.scenes import FPS, counter_clip, scene_clip
from benchmarks.harness import environment, write_result
from llm.huggingface import load
from tests.rig.servers import RtspServer, free_port, start_rtsp_server

BUSY_STEPS, STILL_STEPS = (12, 14, 16, 18, 20), (24, 32, 48, 64)
ENCODED = 8
_err = Console(stderr=True)


def main(
    quick: Annotated[
        bool, typer.Option(help="Within a minute: fewer rounds, no 720p, no encoder, no reconnects.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object on standard output, nothing else.")] = False,
) -> None:
    """All measurements in one run. A full run writes benchmarks/results/capture.json."""
    logging.getLogger("streamer").setLevel(logging.ERROR)
    began = time.monotonic()
    machine = environment()
    with tempfile.TemporaryDirectory() as folder:
        figures = _measure(Path(folder), quick=quick)
    figures["seconds"] = round(time.monotonic() - began, 1)
    if not quick:
        _err.print("written to", write_result("capture", figures, machine=machine).name)
    if as_json:
        sys.stdout.write(json.dumps({**figures, **machine}) + "\n")
    else:
        _show(figures)


def _measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    sizes = ("1080p",) if quick else ("720p", "1080p")
    _err.print("drawing clips")
    clips = {f"{scene}-{size}": scene_clip(folder, scene, size) for size in sizes for scene in ("busy", "still")}
    clips["counter"] = counter_clip(folder)
    _err.print("decoding files")
    decoded = {size: decode.measure(clips[f"busy-{size}"], num_rounds=3 if quick else 15) for size in sizes}
    try:
        server = start_rtsp_server(clips, port=free_port())
    except RuntimeError as error:
        _err.print(f"error: {error}; see CONTRIBUTING.md for its packages", style="red", markup=False)
        raise typer.Exit(1) from error
    try:
        live = asyncio.run(_live(server, quick=quick))
    finally:
        server.stop()
    bits = {name: round(8 * path.stat().st_size / 4e6, 2) for name, path in clips.items() if name != "counter"}
    return {
        "decode_ratio_to_pyav": min(each["ratio_to_pyav"] for each in decoded.values()),
        **live,
        "decode": decoded,
        "clips": {"fps": FPS, "codec": "h264", "key_frame_seconds": 2, "megabits_per_second": bits},
        "quick": quick,
    }


async def _live(server: RtspServer, *, quick: bool) -> dict[str, Any]:
    """What needs the server."""
    _err.print("lag")
    lags = await lag.measure(server, "counter", seconds=9 if quick else 40)
    if not quick:
        _err.print("reconnects")
    again = None if quick else await reconnects.measure(server, "counter", num_slammed=1000, num_real=400)
    carried: dict[str, list[Carried]] = {}
    for scene, quick_steps, steps, seconds in (
        ("busy", (12, 16), BUSY_STEPS, 4.0),
        ("still", (24, 32), STILL_STEPS, 4.0),
    ):
        _err.print(f"cameras of a {scene} scene")
        carried[scene] = await cameras.measure(
            server,
            f"{scene}-1080p",
            scene,
            steps=quick_steps if quick else steps,
            seconds=seconds if quick else 10.0,
            limit_seconds=9.0 if quick else 170.0,
        )
    figures: dict[str, Any] = {
        "lag_p99_seconds": {
            name: lags[name]["p99"]
            for name in (
                "ours_slow_consumer",
                "videocapture_slow_consumer",
                "ours_fast_consumer",
                "videocapture_fast_consumer",
            )
        },
        "cameras": {
            scene: max((step.num_cameras for step in steps if step.is_carried), default=0)
            for scene, steps in carried.items()
        },
        "cameras_by_cpu": {scene: cameras.by_cpu(steps) for scene, steps in carried.items()},
        "cpu_seconds_per_second_and_camera": {scene: steps[0].cpu_per_camera for scene, steps in carried.items()},
        "lag": lags,
        "camera_steps": {scene: [asdict(step) for step in steps] for scene, steps in carried.items()},
    }
    if again is not None:
        figures["reconnects"] = again
        _err.print("cameras with the encoder")
        model = load("bundled")
        figures["with_encoder"] = await encoded.measure(
            server.url("busy-1080p"), model, num_cameras=ENCODED, seconds=15.0
        )
    return figures


def _show(figures: dict[str, Any]) -> None:
    table = Table("figure", "value", title=f"capture, on {os.cpu_count()} cores")
    table.add_row("decoding, ours by bare PyAV", f"{figures['decode_ratio_to_pyav']:.3f}")
    for size, each in figures["decode"].items():
        for name, rate in each["frames_per_second"].items():
            cost = each["cpu_milliseconds_per_frame"][name]
            table.add_row(
                f"{size} {name.replace('_', ' ')}", f"{rate:.0f} frames per second, {cost:.1f} ms of CPU each"
            )
    for name in (
        "ours_fast_consumer",
        "videocapture_fast_consumer",
        "ours_slow_consumer",
        "videocapture_slow_consumer",
    ):
        each = figures["lag"][name]
        table.add_row(
            f"lag, {name.replace('_', ' ')}", f"p50 {each['p50']} s, p99 {each['p99']} s, last {each['last']} s"
        )
    for scene, steps in figures["camera_steps"].items():
        for step in steps:
            said = "carried" if step["is_carried"] else "not carried"
            cost = f"{100 * step['cpu_per_camera']:.1f} % of a core each, server {100 * step['server_cpu']:.0f} %"
            table.add_row(
                f"{step['num_cameras']} {scene} cameras", f"{said}; {cost}, newest {step['newest_seconds']} s"
            )
    if (each := figures.get("with_encoder")) is not None:
        said = f"{each['encoded_per_second_and_camera']} encoded per second each, {each['lost']} lost"
        table.add_row(f"{each['num_cameras']} busy cameras with encoder and memory", said)
    for name, each in figures.get("reconnects", {}).items():
        first, last = each["after_a_tenth"], each["at_the_end"]
        grown = (last["rss_bytes"] - first["rss_bytes"]) / 1e6
        table.add_row(f"{each['reconnects']} reconnects, {name.replace('_', ' ')}", f"{grown:+.1f} MB, {last}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
