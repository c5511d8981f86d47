"""CaptureThreads: keeps one thread at work for a camera, and bounds those that hang; knows no state and no frame.

Bounds: two threads that hang. After them a child process reads the camera, for good; where the settings forbid that,
nothing does until one of the two has ended. And four that were given up in all, for a hang or since the camera was
turned off, and that have not ended yet; the next one waits.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from streamer.capture_thread import CaptureThread, Shared
from streamer.errors import CameraError, CameraErrorCode
from streamer.reading import make_looker
from streamer.state import CameraStatus

__all__ = ["MAX_GIVEN_UP", "MAX_HUNG", "CaptureThreads", "Say"]

log = logging.getLogger(__name__)

MAX_HUNG = 2
MAX_GIVEN_UP = 4


class Say(Protocol):
    """Tells the camera its state."""

    def __call__(
        self,
        status: CameraStatus,
        error: CameraError | None = None,
        more: str = "",
        *,
        heard_from: CaptureThread | None = None,
    ) -> None: ...


class CaptureThreads:
    """Used on the event loop alone, but for `is_current`.

    num_abandoned  threads that hung inside FFmpeg, or died, and were given up
    left           set when the newest thread has ended
    """

    def __init__(self, shared: Shared, *, say: Say, call: Callable[[Callable[[], None]], None]) -> None:
        """say: from any thread. call: from any thread, runs something on the loop."""
        self.num_abandoned = 0
        self.left = asyncio.Event()
        self._shared = shared
        self._say = say
        self._call = call
        self._current: CaptureThread | None = None
        self._given_up: list[CaptureThread] = []
        self._hung: list[CaptureThread] = []
        self._is_wanted = False
        self._isolated = shared.settings.isolation == "process"

    @property
    def current(self) -> CaptureThread | None:
        return self._current

    def is_current(self, thread: CaptureThread) -> bool:
        """From any thread: False for one that was given up."""
        return thread is self._current

    def start(self, *, pause_seconds: float = 0.0) -> None:
        """The next thread, if there is place for one, and the system gives one; else as soon as there is."""
        self._is_wanted = not self._has_place()
        if self._is_wanted:
            return
        shared = self._shared
        before = shared.looker
        shared.looker = make_looker(shared.settings, counts=shared.counts, patience=shared.patience)
        shared.looker.follow(before)
        left = self.left = asyncio.Event()
        thread = self._current = CaptureThread(
            shared,
            say=lambda thread, status, error, more: self._say(status, error, more, heard_from=thread),
            left=lambda: self._call(left.set),
            isolated=self._isolated,
            pause_seconds=pause_seconds,
        )
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            self._current, self._is_wanted = None, True
            message = f"{shared.settings.url}: no thread to read it could be started ({error})"
            advice = "is this machine short of memory or processes?"
            self._say(
                "offline", CameraError("lost", f"{message}; {advice}"), f"; next try in {shared.patience.tick:.1f} s"
            )

    def give_up(self) -> None:
        """Tells the thread to quit, at once; it ends by itself, within the socket's time-outs."""
        self._is_wanted = False
        thread, self._current = self._current, None
        if thread is not None:
            thread.quit()
            self._given_up.append(thread)

    def look_after(self) -> None:
        """Now and then: replaces a thread that hangs or has died, and starts one that could not be started."""
        thread, url = self._current, self._shared.settings.url
        if self._is_wanted:
            self.start()
        elif thread is None:
            return
        elif thread.has_died:
            self._replace(thread, "lost", f"{url}: the thread that read it ended unexpectedly; the log says why")
        elif (seconds := thread.hanging_seconds()) is not None:
            self._hung.append(thread)
            message = f"{url} hung in its decoder for {seconds:.0f} s and was given up"
            self._replace(thread, "timeout", f"{message}; check the camera and its network")

    def _replace(self, thread: CaptureThread, code: CameraErrorCode, message: str) -> None:
        self.give_up()
        self.num_abandoned += 1
        backoff = self._shared.backoff
        if thread.has_seen_well:
            backoff.reset()
        pause_seconds = backoff.next_seconds()
        self._say("offline", CameraError(code, message), f"; next try in {pause_seconds:.1f} s")
        self.start(pause_seconds=pause_seconds)

    def _has_place(self) -> bool:
        """Counts those that have not ended; where two hang, a process takes over if it may."""
        settings = self._shared.settings
        self._given_up = [thread for thread in self._given_up if thread.is_alive]
        hung = self._hung
        self._hung = [it for it in self._given_up if it in hung or it.hanging_seconds() is not None]
        if len(self._hung) >= MAX_HUNG and settings.isolation == "auto" and not self._isolated:
            log.info("camera %s: %d threads hang; it is read in a process from now on", settings.name, MAX_HUNG)
            self._isolated = True
        num_given_up = sum(thread.isolated == self._isolated for thread in self._given_up)
        return num_given_up < MAX_GIVEN_UP and (self._isolated or len(self._hung) < MAX_HUNG)
