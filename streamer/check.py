"""check_camera: opens one camera and reports what is right or wrong with it; knows no memory and no model."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from streamer.errors import CameraError
from streamer.settings import CameraSettings
from streamer.source import Source, SourceInfo, open_source

__all__ = ["CheckReport", "check_camera"]

MEASURE_SECONDS = 2.0
CHECK_TIMEOUT_SECONDS = 15.0
_READ_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the `check` command says of one camera.

    url                  with user and password hidden
    first_frame_seconds  from the start of the check to the first picture
    fps_measured         pictures per second of the camera's clock over the first ~2 s
    error                why it is not ok, with advice
    """

    ok: bool
    camera: str
    url: str
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps_announced: float | None = None
    fps_measured: float | None = None
    first_frame_seconds: float | None = None
    error: CameraError | None = None


async def check_camera(settings: CameraSettings, *, timeout_seconds: float = CHECK_TIMEOUT_SECONDS) -> CheckReport:
    """Never raises for a bad camera, and takes no longer than `timeout_seconds`."""
    loop = asyncio.get_running_loop()
    quit = threading.Event()
    done: asyncio.Future[CheckReport] = loop.create_future()
    progress = [CheckReport(ok=False, camera=settings.name, url=str(settings.url))]

    def finish(report: CheckReport) -> None:
        if not done.done():
            done.set_result(report)

    def work() -> None:
        report = _check(settings, progress, quit, timeout_seconds=timeout_seconds)
        _call_unless_closed(loop, lambda: finish(report))

    threading.Thread(target=work, name=f"check-{settings.name}", daemon=True).start()
    try:
        return await asyncio.wait_for(done, timeout_seconds)
    except TimeoutError:
        report = progress[-1]
        if report.first_frame_seconds is not None:
            return replace(report, ok=True)
        message = f"{settings.url} gave no picture within {timeout_seconds:.0f} s; check the camera and its network"
        return replace(report, error=CameraError("timeout", message))
    finally:
        quit.set()


def _check(
    settings: CameraSettings, progress: list[CheckReport], quit: threading.Event, *, timeout_seconds: float
) -> CheckReport:
    """In a thread. Leaves each step's report in `progress` (at most four), for a check that runs out of time."""
    started = time.monotonic()
    patience_seconds = min(_READ_TIMEOUT_SECONDS, 0.8 * timeout_seconds)
    try:
        with open_source(
            settings, quit=quit, open_timeout_seconds=patience_seconds, read_timeout_seconds=patience_seconds
        ) as source:
            info = getattr(source, "info", None)
            if isinstance(info, SourceInfo):
                progress.append(_with_info(progress[-1], info))
            return _measure(source, progress, quit, started=started)
    except CameraError as error:
        return replace(progress[-1], error=error)


def _measure(source: Source, progress: list[CheckReport], quit: threading.Event, *, started: float) -> CheckReport:
    """Reads for about two seconds, of the wall clock or of a file's own."""
    first_seconds = last_seconds = 0.0
    num_pictures = 0
    first_monotonic_seconds = started
    for picture in source:
        last_seconds = picture.time_seconds
        num_pictures += 1
        if num_pictures == 1:
            first_seconds, first_monotonic_seconds = last_seconds, time.monotonic()
            height, width = picture.rgb().shape[:2]
            report = replace(progress[-1], ok=True, first_frame_seconds=first_monotonic_seconds - started)
            progress.append(report if report.width else replace(report, width=width, height=height))
        waited_seconds = time.monotonic() - first_monotonic_seconds
        if quit.is_set() or max(last_seconds - first_seconds, waited_seconds) >= MEASURE_SECONDS:
            break
    if num_pictures == 0:
        message = f"{progress[-1].url} holds no picture that can be decoded; check that it plays in a video player"
        return replace(progress[-1], error=CameraError("codec", message))
    span_seconds = last_seconds - first_seconds
    return replace(progress[-1], fps_measured=(num_pictures - 1) / span_seconds if span_seconds > 0 else None)


def _with_info(report: CheckReport, info: SourceInfo) -> CheckReport:
    return replace(report, codec=info.codec, width=info.width, height=info.height, fps_announced=info.fps_announced)


def _call_unless_closed(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        if not loop.is_closed():
            raise
