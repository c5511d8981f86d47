"""Camera: one camera's state and frames, as the event loop sees them; knows no encoder, memory or question.

A daemon thread reads: it opens, decodes, samples, converts, masks and hands over. Three clocks watch it: the socket's
time-outs, the age of the newest packet and picture, and how long FFmpeg has not come back. Bounds: the handoff's one
frame; two threads that hang, and after them a child process, which can be killed.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from streamer.backoff import Backoff
from streamer.capture_thread import CaptureThread, Shared
from streamer.clock import wall_seconds
from streamer.errors import CameraError
from streamer.faults import Faults
from streamer.frame import Frame
from streamer.handoff import Handoff
from streamer.patience import Patience
from streamer.reading import make_looker
from streamer.settings import CameraSettings
from streamer.source import Source, SourceCounts, open_source
from streamer.state import CameraState, CameraStatus
from streamer.threads import CaptureThreads

__all__ = ["Camera", "CameraState", "CameraStatus"]

log = logging.getLogger(__name__)


class Camera:
    """`async with Camera(settings, arrived=arrived) as camera:` then wait for `arrived` and `camera.take_nowait()`.

    arrived        set whenever a frame waits or the state changed; may be shared by several cameras
    changed        this camera's own event: set at every change of `state`; whoever waits clears it
    ended          set when a finite source is over and its last frame was taken
    num_abandoned  threads and processes that hung, and threads that died
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        arrived: asyncio.Event,
        patience: Patience | None = None,
        make_source: Callable[..., Source] = open_source,
    ) -> None:
        self.settings = settings
        self.changed = asyncio.Event()
        self.ended = asyncio.Event()
        self.counts = SourceCounts()
        self._arrived = arrived
        self._patience = patience or Patience()
        self._make_source = make_source
        self._state = CameraState("connecting" if settings.enabled else "disabled", wall_seconds())
        self._lock = threading.Lock()
        self._changed_monotonic_seconds = time.monotonic()
        self._faults = Faults(settings.name, settings.url)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._shared: Shared | None = None
        self._threads: CaptureThreads | None = None

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ValueError(f"camera {self.name} was entered before; make a new one")
        self._loop = asyncio.get_running_loop()
        patience = self._patience
        self._shared = Shared(
            settings=self.settings,
            patience=patience,
            handoff=Handoff(self._loop, self._arrived, blocking=not self.settings.live),
            looker=make_looker(self.settings, counts=self.counts, patience=patience),
            counts=self.counts,
            backoff=Backoff(first_seconds=patience.first_pause, cap_seconds=patience.longest_pause),
            faults=self._faults,
            make_source=self._make_source,
            live=self.settings.live,
        )
        self._threads = CaptureThreads(self._shared, say=self._change, call=self._call)
        if self.settings.enabled:
            log.info("camera %s: connecting to %s", self.name, self.settings.url)
            self._threads.start()
        else:
            log.info("camera %s: disabled", self.name)
        self._tick()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        threads = self._threads
        if threads is None or threads.current is None:
            return
        threads.give_up()
        try:
            async with asyncio.timeout(self._patience.leave):
                await threads.left.wait()
        except TimeoutError:
            log.warning("camera %s: its thread is still inside FFmpeg; left behind, it ends at its time-out", self.name)

    def disable(self) -> None:
        """On the loop: stops watching, at once; its thread ends by itself. Nothing happens where it is disabled."""
        if self._state.status == "disabled":
            return
        if self._threads is not None:
            self._threads.give_up()
        self._change("disabled")

    def enable(self) -> None:
        """On the loop: watches again. Nothing happens where it is not disabled."""
        if self._state.status != "disabled":
            return
        self.ended.clear()
        self._change("connecting", more=f" to {self.settings.url}")
        if self._threads is not None:
            self._threads.start()

    # What the event loop asks.

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def live(self) -> bool:
        """True on the wall clock, False for a paced source."""
        return self._shared.live if self._shared else self.settings.live

    @property
    def state(self) -> CameraState:
        return self._state

    @property
    def num_seen(self) -> int:
        """Decoded pictures that were neither corrupt nor late."""
        return self._shared.looker.seen.num_events if self._shared else 0

    @property
    def num_sampled(self) -> int:
        """Pictures that became frames."""
        return self._shared.looker.num_sampled if self._shared else 0

    @property
    def num_reconnects(self) -> int:
        return self._shared.num_reconnects if self._shared else 0

    @property
    def num_abandoned(self) -> int:
        return self._threads.num_abandoned + self._shared.num_hung if self._threads and self._shared else 0

    @property
    def num_dropped(self) -> int:
        """Sampled frames that a newer one replaced before they were taken."""
        shared = self._shared
        return shared.handoff.num_dropped + shared.num_dropped_in_child if shared else 0

    @property
    def first_frame_seconds(self) -> float | None:
        """Time of the first frame taken."""
        return self._shared.handoff.first_taken_seconds if self._shared else None

    @property
    def newest_frame_seconds(self) -> float | None:
        """Time of the newest frame taken."""
        return self._shared.handoff.newest_taken_seconds if self._shared else None

    @property
    def fps(self) -> float:
        """Decoded frames per second of wall time, lately."""
        return self._shared.looker.seen.per_second if self._shared else 0.0

    def now_seconds(self) -> float:
        """Now on the camera's clock: the wall clock, or for a paced source the newest frame taken."""
        if self.live:
            return wall_seconds()
        newest = self.newest_frame_seconds
        if newest is not None:
            return newest
        start = self.settings.start_seconds
        return start if start is not None else wall_seconds()

    @property
    def num_taken(self) -> int:
        """Frames that were taken from the handoff."""
        return self._shared.handoff.num_taken if self._shared else 0

    @property
    def has_frame(self) -> bool:
        """True while a frame waits to be taken."""
        return self._shared is not None and self._shared.handoff.is_full

    def take_nowait(self) -> Frame | None:
        """The frame that waits, or None."""
        return self._shared.handoff.take_nowait() if self._shared else None

    # States.

    def _change(
        self,
        status: CameraStatus,
        error: CameraError | None = None,
        more: str = "",
        *,
        heard_from: CaptureThread | None = None,
    ) -> None:
        """Changes the state, logs a change once, and tells the loop. From a thread (if it still counts) or the loop."""
        with self._lock:
            if heard_from is not None and not (self._threads and self._threads.is_current(heard_from)):
                return
            before = self._state
            if error is None and before.status == status and before.error is None:
                return
            self._state = before.after(status, error, now_seconds=wall_seconds())
            self._changed_monotonic_seconds = time.monotonic()
            if not self._state.is_news_after(before):
                return
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
        """About once a second, whatever happens."""
        assert self._loop is not None
        try:
            self._look_after()
        except Exception as error:  # noqa: BLE001 - without its watchman a camera would stay as it is for ever
            self._faults.tell(error)
        finally:
            self._ticker = self._loop.call_later(self._patience.tick, self._tick)

    def _look_after(self) -> None:
        """Notices that a live camera gives nothing, and that a thread hangs or has died."""
        threads = self._threads
        assert threads is not None
        threads.look_after()
        if self.live and self._state.status == "live" and (silence := self._silence()):
            self._change("stale", None, silence, heard_from=threads.current)

    def _silence(self) -> str:
        """ "" or how long the camera has given nothing, which is too long.

        A still scene is not silent: packets come, though few of them are decoded. Packets alone are no picture.
        """
        assert self._shared is not None
        patience = self._patience
        packet_seconds, picture_seconds = self.counts.silent_seconds, self._shared.looker.seen.silent_seconds
        silences = [seconds for seconds in (packet_seconds, picture_seconds) if seconds is not None]
        silences.append(time.monotonic() - self._changed_monotonic_seconds)  # live: a process tells its counts later
        allowed_seconds = patience.stale_after(usual_seconds=self._shared.looker.seen.usual_seconds)
        if min(silences) > allowed_seconds:
            return f": nothing came for {min(silences):.0f} s"
        if self.counts.decodes_key_frames_only:
            allowed_seconds = patience.key_frames_stale
        if picture_seconds is not None and min(picture_seconds, silences[-1]) > allowed_seconds:
            return f": no picture for {picture_seconds:.0f} s"
        return ""
