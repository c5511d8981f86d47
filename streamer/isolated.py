"""The process that reads one camera for another process, once; it can be killed. Run as `python -m streamer.isolated`.

It takes its orders, with the camera's password, from standard input; sends frames, counts and why it failed to standard
output; and ends when its parent does. Its clock never jumps: the parent turns live times into its own. Bounds: one
frame that waits (live: the newest wins; paced: reading waits) and one that is being sent.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, BinaryIO, cast

from streamer.clock import SteadyClock, run_on
from streamer.errors import CameraError
from streamer.handoff import Handoff
from streamer.look import Looker
from streamer.messages import Head, message_of_frame, pack, unpack
from streamer.patience import Patience
from streamer.reading import ThreadReading, make_looker
from streamer.secret import redact
from streamer.settings import CameraSettings
from streamer.source import SourceCounts, open_source

__all__ = ["Reporter", "order", "read_camera"]

STATUS_SECONDS = 0.25


def order(
    settings: CameraSettings,
    *,
    start_seconds: float | None,
    clock_ahead_seconds: float,
    counts: SourceCounts,
    patience: Patience,
) -> bytes:
    """What the parent sends: the whole address goes through the pipe, never through arguments or environment.

    clock_ahead_seconds  this process's wall clock is time.monotonic() and so much: the parent's own at this moment
    """
    plain = settings.model_dump(mode="json") | {"url": settings.url.typed, "start": None}
    if settings.kind == "file":
        plain["start"] = start_seconds
    head = {
        "settings": plain,
        "clock_ahead_seconds": clock_ahead_seconds,
        "patience": asdict(patience),
        "transport": counts.transport,
        "hardware_failed": counts.hardware_failed,
    }
    return pack(head)


class _AtOnce:
    """Stands for an event loop where there is none: calls back at once, in the calling thread."""

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        callback()

    def is_closed(self) -> bool:
        return False


class Reporter:
    """Sends what is to be sent, in a thread of its own: a frame when there is one, the counts four times a second."""

    def __init__(
        self,
        pipe: BinaryIO,
        *,
        handoff: Handoff,
        arrived: threading.Event,
        looker: Looker,
        counts: SourceCounts,
        reading: ThreadReading,
    ) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._handoff = handoff
        self._arrived = arrived
        self._looker = looker
        self._counts = counts
        self._reading = reading
        self._end: Head | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self, end: Head) -> None:
        """Sends what is left, and why there is no more."""
        self._end = end
        self._arrived.set()
        self._thread.join()

    def send(self, message: bytes) -> None:
        """From any thread. A parent that is gone ends this process."""
        with self._lock:
            try:
                self._pipe.write(message)
                self._pipe.flush()
            except OSError:
                os._exit(0)

    def _run(self) -> None:
        told_seconds = 0.0
        while True:
            self._arrived.wait(STATUS_SECONDS)
            self._arrived.clear()
            end = self._end
            frame = self._handoff.take_nowait()
            if frame is not None:
                self.send(message_of_frame(frame))
            if end is not None or time.monotonic() - told_seconds >= STATUS_SECONDS:
                self.send(pack(self.status()))
                told_seconds = time.monotonic()
            if end is not None:
                self.send(pack(end))
                return

    def status(self) -> Head:
        counts = asdict(self._counts)
        arrival_seconds = counts.pop("last_arrival_monotonic_seconds")
        del counts["alive_monotonic_seconds"]
        return {
            "kind": "status",
            "counts": counts,
            "arrival_age_seconds": None if arrival_seconds is None else time.monotonic() - arrival_seconds,
            "hanging_seconds": self._reading.hanging_seconds(),
            "num_seen": self._looker.seen.num_events,
            "num_sampled": self._looker.num_sampled,
            "num_dropped": self._handoff.num_dropped,
        }


def read_camera(orders: BinaryIO, reports: BinaryIO) -> None:
    """Reads one connection to its end; then says how it ended."""
    head, _ = unpack(orders.read)
    run_on(SteadyClock(head["clock_ahead_seconds"]))
    settings = CameraSettings.model_validate(head["settings"])
    patience = Patience(**head["patience"])
    counts = SourceCounts(transport=head["transport"], hardware_failed=head["hardware_failed"])
    quit, arrived = threading.Event(), threading.Event()
    looker = make_looker(settings, counts=counts, patience=patience)
    handoff = Handoff(cast(Any, _AtOnce()), cast(Any, arrived), blocking=not settings.live)
    reading = ThreadReading(
        settings,
        looker=looker,
        counts=counts,
        patience=patience,
        quit=quit,
        make_source=open_source,
    )
    reporter = Reporter(reports, handoff=handoff, arrived=arrived, looker=looker, counts=counts, reading=reading)
    threading.Thread(target=_end_with_parent, args=(orders,), daemon=True).start()
    end: Head = {"kind": "end", "code": None, "message": ""}
    try:
        with reading:
            handoff.blocking = not reading.live
            reporter.send(pack({"kind": "open", "live": reading.live}))
            for frame in reading:
                if frame is not None:
                    handoff.put(frame, quit)
            handoff.drain(quit)
    except CameraError as error:
        end |= {"code": error.code, "message": error.message}
    except Exception as error:  # noqa: BLE001 - a fault of ours; the parent says it
        end |= {"code": "lost", "message": redact(f"{settings.url}: {type(error).__name__}: {error}", settings.url)}
    reporter.end(end)


def _end_with_parent(orders: BinaryIO) -> None:
    """The parent's end of the pipe closes when it is gone, however it went."""
    orders.read()
    os._exit(0)


def main() -> None:
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no message
    read_camera(sys.stdin.buffer, reports)
    os._exit(0)


if __name__ == "__main__":
    main()
