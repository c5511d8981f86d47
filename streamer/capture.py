"""Camera: one camera's loop, from opening to reconnecting for ever; knows no encoder, memory or question.

One daemon thread owns the source: it opens, decodes, samples, converts, masks and hands over. The event loop sees a
state, counters and one slot of frames. Bound: the handoff's one frame.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from streamer.backoff import Backoff
from streamer.clock import wall_seconds
from streamer.errors import CameraError
from streamer.frame import Frame
from streamer.handoff import Handoff
from streamer.look import Looker
from streamer.sampling import Sampler
from streamer.secret import redact
from streamer.settings import CameraSettings
from streamer.source import Picture, Source, SourceCounts, open_source

__all__ = ["Camera", "CameraState", "CameraStatus"]

log = logging.getLogger(__name__)

STALE_AFTER_SECONDS = 10.0
GOOD_AFTER_SECONDS = 60.0
AUTH_RETRY_SECONDS = 30.0  # cameras lock out who tries a wrong password too often
LEAVE_SECONDS = 0.5
_TICK_SECONDS = 1.0

CameraStatus = Literal["connecting", "live", "stale", "offline", "ended"]


@dataclass(frozen=True, slots=True)
class CameraState:
    """What a person wants to know of a camera.

    status  connecting: no frame yet; live: frames come; stale: open, but no frame for a while; offline: lost, and tried
            again; ended: a finite source is over
    error   why it is offline, or ended early
    """

    status: CameraStatus
    since_seconds: float
    error: CameraError | None = None


class Camera:
    """`async with Camera(settings, arrived=arrived) as camera:` then wait for `arrived` and `camera.take_nowait()`.

    arrived              set whenever a frame waits or the state changed; may be shared by several cameras
    changed              this camera's own event: set at every change of `state`; whoever waits clears it
    ended                set when a finite source is over and its last frame was taken
    stale_after_seconds  without a frame for so long, a live camera is stale, and what follows comes after a gap
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        arrived: asyncio.Event,
        stale_after_seconds: float = STALE_AFTER_SECONDS,
        make_source: Callable[..., Source] = open_source,
    ) -> None:
        self.settings = settings
        self.changed = asyncio.Event()
        self.ended = asyncio.Event()
        self.counts = SourceCounts()
        self.num_reconnects = 0
        self._arrived = arrived
        self._stale_after_seconds = stale_after_seconds
        self._make_source = make_source
        self._live = settings.live
        self._state = CameraState("connecting", wall_seconds())
        self._lock = threading.Lock()
        self._looker = Looker(
            camera=settings.name,
            sampler=Sampler(settings.fps, settings.masks),
            counts=self.counts,
            stale_after_seconds=stale_after_seconds,
        )
        self._quit = threading.Event()
        self._left = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._handoff: Handoff | None = None

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ValueError(f"camera {self.name} was entered before; make a new one")
        self._loop = asyncio.get_running_loop()
        self._handoff = Handoff(self._loop, self._arrived, blocking=not self._live)
        log.info("camera %s: connecting to %s", self.name, self.settings.url)
        thread = threading.Thread(target=self._run, args=(self._handoff,), name=f"capture-{self.name}", daemon=True)
        thread.start()
        self._tick()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._quit.set()
        if self._ticker is not None:
            self._ticker.cancel()
        if self._handoff is not None:
            self._handoff.wake()
        try:
            await asyncio.wait_for(self._left.wait(), LEAVE_SECONDS)
        except TimeoutError:
            log.warning("camera %s: its thread is still inside FFmpeg; left behind, it ends at its time-out", self.name)

    # What the event loop asks.

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def live(self) -> bool:
        """True on the wall clock, False for a paced source."""
        return self._live

    @property
    def state(self) -> CameraState:
        return self._state

    @property
    def num_seen(self) -> int:
        """Decoded pictures that were neither corrupt nor late."""
        return self._looker.seen.num_events

    @property
    def num_sampled(self) -> int:
        """Pictures that became frames."""
        return self._looker.num_sampled

    @property
    def num_dropped(self) -> int:
        """Sampled frames that a newer one replaced before they were taken."""
        return self._handoff.num_dropped if self._handoff else 0

    @property
    def first_frame_seconds(self) -> float | None:
        """Time of the first frame taken."""
        return self._handoff.first_taken_seconds if self._handoff else None

    @property
    def newest_frame_seconds(self) -> float | None:
        """Time of the newest frame taken."""
        return self._handoff.newest_taken_seconds if self._handoff else None

    @property
    def fps(self) -> float:
        """Decoded frames per second of wall time, lately."""
        return self._looker.seen.per_second

    def now_seconds(self) -> float:
        """Now on the camera's clock: the wall clock, or for a paced source the newest frame taken."""
        if self._live:
            return wall_seconds()
        newest = self.newest_frame_seconds
        if newest is not None:
            return newest
        start = self.settings.start_seconds
        return start if start is not None else wall_seconds()

    @property
    def num_taken(self) -> int:
        """Frames that were taken from the handoff."""
        return self._handoff.num_taken if self._handoff else 0

    @property
    def has_frame(self) -> bool:
        """True while a frame waits to be taken."""
        return self._handoff is not None and self._handoff.is_full

    def take_nowait(self) -> Frame | None:
        """The frame that waits, or None."""
        return self._handoff.take_nowait() if self._handoff else None

    # The thread.

    def _run(self, handoff: Handoff) -> None:
        backoff = Backoff()
        try:
            while not self._quit.is_set():
                started = time.monotonic()
                error = self._watch(handoff)
                if self._quit.is_set():
                    return
                if error is None or (self.num_seen and not self._live):
                    self._finish(handoff, error)
                    return
                if time.monotonic() - started > GOOD_AFTER_SECONDS:
                    backoff.reset()
                at_least_seconds = AUTH_RETRY_SECONDS if error.code == "auth" else 0.0
                pause_seconds = backoff.next_seconds(at_least_seconds=at_least_seconds)
                self._say("offline", error, f"; next try in {pause_seconds:.1f} s")
                if self._quit.wait(pause_seconds):
                    return
                self.num_reconnects += 1
        finally:
            self._call(self._left.set)

    def _watch(self, handoff: Handoff) -> CameraError | None:
        """Opens and reads until the source ends (None) or fails (why)."""
        try:
            with self._make_source(self.settings, quit=self._quit, counts=self.counts) as source:
                self._live = source.live
                handoff.blocking = not source.live
                for picture in source:
                    if self._quit.is_set():
                        break
                    self._look(picture, handoff)
        except CameraError as error:
            self._looker.lose()
            return error
        except Exception as error:  # whatever a source raises, the camera is tried again
            log.exception("camera %s: a fault in the program", self.name)
            self._looker.lose()
            return CameraError("lost", redact(f"{self.settings.url}: {type(error).__name__}, see the log"))
        return None

    def _look(self, picture: Picture, handoff: Handoff) -> None:
        if not self._looker.accepts(picture.time_seconds):
            return
        if self._state.status != "live":
            self._say("live")
        if frame := self._looker.frame_of(picture):
            handoff.put(frame, self._quit)

    def _finish(self, handoff: Handoff, error: CameraError | None) -> None:
        """A finite source is over: waits until its last frame is taken, then says so."""
        if handoff.drain(self._quit):
            self._say("ended", error)

    def _say(self, status: CameraStatus, error: CameraError | None = None, more: str = "") -> None:
        """Changes the state, logs a change once, and tells the loop. From the thread or the loop."""
        with self._lock:
            before = self._state
            same_error = (before.error and before.error.code) == (error and error.code)
            if before.status == status and same_error:
                return
            since_seconds = before.since_seconds if before.status == status else wall_seconds()
            self._state = CameraState(status, since_seconds, error)
        log.info("camera %s: %s%s%s", self.name, status, f": {error}" if error else "", more)
        if status == "ended":
            self._call(self.ended.set)
        self._call(self.changed.set)
        self._call(self._arrived.set)  # last: who wakes finds the rest done

    def _call(self, callback: Callable[[], None]) -> None:
        """Runs it on the loop; a loop that is closed needs no telling."""
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    # A timer on the loop.

    def _tick(self) -> None:
        """Once a second: notices that a live camera gives no frames."""
        silent_seconds = self._looker.seen.silent_seconds
        silent = silent_seconds is not None and silent_seconds > self._stale_after_seconds
        if silent and self._live and self._state.status == "live":
            self._say("stale", None, f": no frame for {silent_seconds:.0f} s")
        if self._loop is not None and not self._quit.is_set():
            self._ticker = self._loop.call_later(min(_TICK_SECONDS, self._stale_after_seconds / 4), self._tick)
