"""CaptureThreads: keeps one thread at work for a camera, and bounds those that hang; knows no state and no frame.

Bound: two threads that hang. After them a child process reads the camera, for good; where the settings forbid that,
nothing does until one of the two has ended.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from streamer.capture_thread import CaptureThread, Shared
from streamer.errors import CameraError
from streamer.state import CameraStatus

__all__ = ["MAX_ABANDONED", "CaptureThreads", "Say"]

log = logging.getLogger(__name__)

MAX_ABANDONED = 2


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

    num_abandoned  threads that hung inside FFmpeg and were given up
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
        self._is_wanted = False
        self._isolated = shared.settings.isolation == "process"

    @property
    def current(self) -> CaptureThread | None:
        return self._current

    def is_current(self, thread: CaptureThread) -> bool:
        """From any thread: False for one that was given up."""
        return thread is self._current

    def start(self, *, pause_seconds: float = 0.0) -> None:
        """The next thread, if there is place for one; else as soon as there is."""
        settings = self._shared.settings
        self._given_up = [thread for thread in self._given_up if thread.is_alive]
        has_no_place = len(self._given_up) >= MAX_ABANDONED
        if has_no_place and settings.isolation == "auto" and not self._isolated:
            log.info("camera %s: %d threads hang; it is read in a process from now on", settings.name, MAX_ABANDONED)
            self._isolated = True
        self._is_wanted = has_no_place and not self._isolated
        if self._is_wanted:
            return
        left = self.left = asyncio.Event()
        thread = self._current = CaptureThread(
            self._shared,
            say=lambda thread, status, error, more: self._say(status, error, more, heard_from=thread),
            left=lambda: self._call(left.set),
            isolated=self._isolated,
            pause_seconds=pause_seconds,
        )
        thread.start()

    def give_up(self) -> None:
        """Tells the thread to quit, at once; it ends by itself, within the socket's time-outs."""
        self._is_wanted = False
        thread, self._current = self._current, None
        if thread is not None:
            thread.quit()
            self._given_up.append(thread)

    def look_after(self) -> None:
        """Now and then: replaces a thread that hangs, and starts one that there was no place for."""
        if self._is_wanted:
            self.start()
        elif self._current is not None and (seconds := self._current.hanging_seconds()) is not None:
            self.give_up()
            self.num_abandoned += 1
            pause_seconds = self._shared.backoff.next_seconds()
            message = f"{self._shared.settings.url} hung in its decoder for {seconds:.0f} s and was given up"
            error = CameraError("timeout", f"{message}; check the camera and its network")
            self._say("offline", error, f"; next try in {pause_seconds:.1f} s")
            self.start(pause_seconds=pause_seconds)
