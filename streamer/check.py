"""check_camera: opens one camera and reports what is right or wrong with it; knows no memory and no model."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

from streamer.advice import Seen, advise
from streamer.check_report import CheckReport
from streamer.clock import wall_seconds
from streamer.errors import CameraError
from streamer.settings import CameraSettings
from streamer.source import Picture, Source, SourceCounts, SourceInfo, open_source

__all__ = ["CheckReport", "check_camera"]

MEASURE_SECONDS = 2.0
KEY_FRAME_PATIENCE_SECONDS = 6.0
CHECK_TIMEOUT_SECONDS = 15.0
_READ_TIMEOUT_SECONDS = 10.0
_HARDWARE = ("cuda", "vaapi", "qsv", "videotoolbox")


async def check_camera(settings: CameraSettings, *, timeout_seconds: float = CHECK_TIMEOUT_SECONDS) -> CheckReport:
    """Never raises for a bad camera, and takes no longer than `timeout_seconds`."""
    loop = asyncio.get_running_loop()
    check = _Check(settings)
    done: asyncio.Future[CameraError | None] = loop.create_future()

    def finish(error: CameraError | None) -> None:
        if not done.done():
            done.set_result(error)

    def work() -> None:
        error = check.run(timeout_seconds=timeout_seconds)
        _call_unless_closed(loop, lambda: finish(error))

    threading.Thread(target=work, name=f"check-{settings.name}", daemon=True).start()
    try:
        async with asyncio.timeout(timeout_seconds):
            return check.report(await done)
    except TimeoutError:
        if check.has_picture:
            return check.report(None)
        message = f"{settings.url} gave no picture within {timeout_seconds:.0f} s; check the camera and its network"
        return check.report(CameraError("timeout", message))
    finally:
        check.quit.set()


class _Check:
    """One check. `run` fills it in a thread; `report` may be asked for at any time, from any thread."""

    def __init__(self, settings: CameraSettings) -> None:
        self.quit = threading.Event()
        self._settings = settings
        self._counts = SourceCounts()
        self._started_seconds = time.monotonic()
        self._known = CheckReport(ok=False, camera=settings.name, url=str(settings.url))
        self._num_pictures = 0
        self._first_monotonic_seconds = 0.0
        self._first_seconds = 0.0
        self._last_seconds = 0.0
        self._key_seconds: list[float] = []  # bound: the key frames of six seconds
        self._lags_seconds: list[float] = []  # bound: as many

    @property
    def has_picture(self) -> bool:
        return self._known.has_picture

    def run(self, *, timeout_seconds: float) -> CameraError | None:
        """In a thread: opens, reads for a few seconds, closes. Returns why there is no picture."""
        patience_seconds = min(_READ_TIMEOUT_SECONDS, 0.8 * timeout_seconds)
        try:
            self._known = replace(self._known, hardware=_hardware())
            with open_source(
                self._settings,
                quit=self.quit,
                counts=self._counts,
                open_timeout_seconds=patience_seconds,
                read_timeout_seconds=patience_seconds,
            ) as source:
                self._describe(source)
                for picture in source:
                    if self._has_seen_enough(picture):
                        break
        except CameraError as error:
            return None if self.has_picture and error.code == "ended" else error
        if not self.has_picture and not self.quit.is_set():
            message = (
                f"{self._settings.url} holds no picture that can be decoded; check that it plays in a video player"
            )
            return CameraError("codec", message)
        return None

    def report(self, error: CameraError | None) -> CheckReport:
        """What is known by now, with advice."""
        report = replace(
            self._known,
            ok=error is None and self.has_picture,
            error=error,
            num_corrupt=self._counts.num_corrupt,
            fps_measured=self._fps(),
            lag_seconds=median(self._lags_seconds[:]) if self._lags_seconds else None,
            **self._key_frames(),
        )
        return replace(report, advice=advise(self._seen(report))) if self.has_picture else report

    def _seen(self, report: CheckReport) -> Seen:
        return Seen(
            url=self._settings.url,
            live=bool(report.live),
            wanted_fps=self._settings.fps,
            codec=report.codec,
            decoder=report.decoder,
            width=report.width,
            height=report.height,
            fps_announced=report.fps_announced,
            fps_measured=report.fps_measured,
            key_frame_seconds=report.key_frame_seconds,
            is_key_frame_bound=report.is_key_frame_bound,
            lag_seconds=report.lag_seconds,
            transport=report.transport,
            num_corrupt=report.num_corrupt,
        )

    def _describe(self, source: Source) -> None:
        self._known = replace(self._known, live=source.live)
        info = getattr(source, "info", None)
        if isinstance(info, SourceInfo):
            self._known = replace(
                self._known,
                codec=info.codec,
                decoder=info.decoder or info.codec,
                width=info.width or None,
                height=info.height or None,
                fps_announced=info.fps_announced,
                transport=info.transport,
            )

    def _has_seen_enough(self, picture: Picture) -> bool:
        """Two seconds of a file's own time or of the wall clock; a live one is watched longer for two key frames."""
        self._num_pictures += 1
        self._last_seconds = picture.time_seconds
        if self._num_pictures == 1:
            self._see_first(picture)
        elif self._known.live:
            self._lags_seconds.append(max(0.0, wall_seconds() - picture.time_seconds))
        if getattr(picture, "is_key_frame", False):
            self._key_seconds.append(picture.time_seconds)
        waited_seconds = time.monotonic() - self._first_monotonic_seconds
        span_seconds = max(self._last_seconds - self._first_seconds, waited_seconds)
        has_key_frames = len(self._key_seconds) > 1 or self._known.codec is None
        return self.quit.is_set() or span_seconds >= (MEASURE_SECONDS if has_key_frames else KEY_FRAME_PATIENCE_SECONDS)

    def _see_first(self, picture: Picture) -> None:
        width, height = getattr(picture, "sent_size", None) or picture.rgb().shape[1::-1]
        self._first_seconds, self._first_monotonic_seconds = picture.time_seconds, time.monotonic()
        self._known = replace(
            self._known,
            width=width,
            height=height,
            first_frame_seconds=self._first_monotonic_seconds - self._started_seconds,
        )

    def _fps(self) -> float | None:
        span_seconds = self._last_seconds - self._first_seconds
        return (self._num_pictures - 1) / span_seconds if self._num_pictures > 1 and span_seconds > 0 else None

    def _key_frames(self) -> dict[str, Any]:
        """The usual interval; with one key frame or none seen, at least the time without another."""
        times = self._key_seconds[:]
        if len(times) > 1:
            steps = [later - earlier for earlier, later in itertools.pairwise(times)]
            return {"key_frame_seconds": median(steps), "is_key_frame_bound": False}
        since_seconds = self._last_seconds - (times[0] if times else self._first_seconds)
        if self._known.codec is None or not self._known.live or since_seconds <= 0:
            return {}
        return {"key_frame_seconds": since_seconds, "is_key_frame_bound": True}


def _hardware() -> tuple[str, ...]:
    """Devices that decode here; looked up once per process."""
    from streamer.hardware import works_here

    return tuple(device for device in _HARDWARE if works_here(device))


def _call_unless_closed(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        if not loop.is_closed():
            raise
