"""CaptureThread: reads one camera, again and again, until it is told to quit; knows no event loop.

A thread that hangs inside FFmpeg cannot be ended. It is told to quit, and another takes its place: from then on what it
says and what it sees does not count.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from streamer.backoff import Backoff
from streamer.children import Children
from streamer.errors import CameraError
from streamer.faults import Faults
from streamer.handoff import Handoff
from streamer.isolation import ProcessReading
from streamer.look import Looker
from streamer.patience import Patience
from streamer.reading import Reading, ThreadReading
from streamer.secret import redact
from streamer.settings import CameraSettings
from streamer.source import Source, SourceCounts

__all__ = ["CaptureThread", "Say", "Shared"]


class Say(Protocol):
    """Tells the camera its state; what a thread says that was replaced is not heard."""

    def __call__(
        self, thread: "CaptureThread", status: Literal["live", "offline", "ended"], error: CameraError | None, more: str
    ) -> None: ...


@dataclass(slots=True)
class Shared:
    """What a camera's threads leave to each other; one of them writes at a time.

    looker              the newest thread's
    live                what the newest source says of itself
    last_frame_seconds  time of the newest frame that was handed over
    num_hung            reading processes that were ended since they hung
    """

    settings: CameraSettings
    patience: Patience
    handoff: Handoff
    looker: Looker
    counts: SourceCounts
    backoff: Backoff
    faults: Faults
    make_source: Callable[..., Source]
    live: bool
    num_reconnects: int = 0
    num_hung: int = 0
    num_dropped_in_child: int = 0
    last_frame_seconds: float | None = None
    children: Children = field(default_factory=Children)


class CaptureThread:
    """One thread. `quit` ends it, within the socket's time-outs; `left` is called when it has ended.

    isolated       the camera is read in a child process
    pause_seconds  to wait before the first try
    """

    def __init__(
        self, shared: Shared, *, say: Say, left: Callable[[], None], isolated: bool, pause_seconds: float = 0.0
    ) -> None:
        self.isolated = isolated
        self._shared = shared
        self._looker = shared.looker
        self._say = say
        self._left = left
        self._pause_seconds = pause_seconds
        self._quit = threading.Event()
        self._reading: Reading | None = None
        self._seeing_since_seconds: float | None = None
        self._seen_seconds = 0.0
        self._has_finished = False
        self._thread = threading.Thread(target=self._run, name=f"capture-{shared.settings.name}", daemon=True)

    def start(self) -> None:
        """Raises: RuntimeError where the system gives no thread."""
        self._thread.start()

    def quit(self) -> None:
        """From any thread, at once: what it does from now on does not count."""
        self._quit.set()
        self._shared.handoff.wake()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def has_died(self) -> bool:
        """True where it has ended though nobody told it to, and the source is not over."""
        return not (self.is_alive or self._quit.is_set() or self._has_finished)

    @property
    def has_seen_well(self) -> bool:
        """True where the newest connection gave pictures for a good while."""
        since_seconds = self._seeing_since_seconds
        return since_seconds is not None and self._seen_seconds - since_seconds > self._shared.patience.good

    def hanging_seconds(self) -> float | None:
        """For how long FFmpeg has not come back, where that is too long; else None."""
        reading = self._reading
        return reading.hanging_seconds() if reading is not None else None

    def _run(self) -> None:
        try:
            if not self._quit.wait(self._pause_seconds):
                self._read_again_and_again()
            self._has_finished = True
        except Exception as error:  # noqa: BLE001 - another thread takes its place
            self._shared.faults.tell(error)
        finally:
            self._left()

    def _read_again_and_again(self) -> None:
        shared, patience = self._shared, self._shared.patience
        while not self._quit.is_set():
            error = self._read()
            if self._quit.is_set():
                return
            if error is None or (self._looker.seen.num_events and not shared.live):
                self._finish(error)
                return
            if self.has_seen_well:
                shared.backoff.reset()
            at_least_seconds = patience.auth_pause if error.code == "auth" else 0.0
            pause_seconds = shared.backoff.next_seconds(at_least_seconds=at_least_seconds)
            self._say(self, "offline", error, f"; next try in {pause_seconds:.1f} s")
            if self._quit.wait(pause_seconds):
                return
            shared.num_reconnects += 1

    def _read(self) -> CameraError | None:
        """Opens and reads until the source ends (None) or fails (why)."""
        shared = self._shared
        self._seeing_since_seconds = None
        reading = self._reading = self._new_reading()
        try:
            with reading:
                for frame in reading:
                    self._seen_seconds = time.monotonic()
                    if self._seeing_since_seconds is None:
                        self._seeing_since_seconds = self._seen_seconds
                    if self._quit.is_set():
                        break
                    shared.live = reading.live
                    shared.handoff.blocking = not reading.live
                    self._say(self, "live", None, "")
                    if frame is not None and shared.handoff.put(frame, self._quit):
                        shared.last_frame_seconds = frame.end_seconds
        except CameraError as error:
            return self._lost(error)
        except Exception as error:  # noqa: BLE001 - whatever a source raises, the camera is tried again
            shared.faults.tell(error)
            url = shared.settings.url
            return self._lost(CameraError("lost", redact(f"{url}: {type(error).__name__}, see the log", url)))
        finally:
            self._reading = None
            if isinstance(reading, ProcessReading) and not self._quit.is_set():
                shared.num_hung += reading.num_hung
                shared.num_dropped_in_child += reading.num_dropped
        return None

    def _lost(self, error: CameraError) -> CameraError:
        self._looker.lose()
        return error

    def _new_reading(self) -> Reading:
        shared = self._shared
        if self.isolated:
            return ProcessReading(
                shared.settings,
                looker=self._looker,
                counts=shared.counts,
                patience=shared.patience,
                quit=self._quit,
                last_seconds=shared.last_frame_seconds,
                children=shared.children,
            )
        return ThreadReading(
            shared.settings,
            looker=self._looker,
            counts=shared.counts,
            patience=shared.patience,
            quit=self._quit,
            make_source=shared.make_source,
        )

    def _finish(self, error: CameraError | None) -> None:
        """A finite source is over: waits until its last frame is taken, then says so."""
        if self._shared.handoff.drain(self._quit):
            self._say(self, "ended", error, "")
