"""Handoff: one slot between a capture thread and the event loop; knows no camera.

Bound: one frame. When it is full: a live camera's newer frame replaces the older one and the drop is counted;
a paced camera's thread waits until the frame is taken, so nothing is dropped. A still frame never waits and never
replaces: it lengthens the frame that is there.
"""

import asyncio
import threading
from dataclasses import replace

from streamer.frame import Frame

__all__ = ["Handoff"]

_QUIT_POLL_SECONDS = 0.1


class Handoff:
    """thread -> event loop, one slot.

    loop      the event loop that takes
    arrived   set on that loop after each put; all cameras of an agent may share one. Whoever waits clears it first and
              then takes from every camera until all give None
    blocking  True for a paced source; may be changed by the putting thread once the source is open
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, arrived: asyncio.Event, *, blocking: bool) -> None:
        self.blocking = blocking
        self._loop = loop
        self._arrived = arrived
        self._changed = threading.Condition()
        self._slot: Frame | None = None
        self._num_dropped = 0
        self._num_taken = 0
        self._first_taken_seconds: float | None = None
        self._newest_taken_seconds: float | None = None

    def put(self, frame: Frame, quit: threading.Event) -> bool:
        """From the thread: puts the frame into the slot; False if `quit` came first."""
        with self._changed:
            if self.blocking and not frame.is_still and not self._wait_until_empty(quit):
                return False
            if quit.is_set():
                return False
            if self._slot is not None:
                frame = self._join(self._slot, frame)
            self._slot = frame
        self.notify()
        return True

    def drain(self, quit: threading.Event) -> bool:
        """From the thread: waits until the last frame is taken; False if `quit` came first."""
        with self._changed:
            return self._wait_until_empty(quit)

    def take_nowait(self) -> Frame | None:
        """On the loop: the frame in the slot, or None."""
        with self._changed:
            frame, self._slot = self._slot, None
            if frame is not None:
                self._num_taken += frame.num_pictures
                self._newest_taken_seconds = frame.end_seconds
                if self._first_taken_seconds is None:
                    self._first_taken_seconds = frame.time_seconds
                self._changed.notify_all()
        return frame

    def notify(self) -> None:
        """From any thread: sets `arrived` on the loop; a loop that is closed needs no telling."""
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def wake(self) -> None:
        """Lets a waiting thread look at its quit flag at once."""
        with self._changed:
            self._changed.notify_all()

    @property
    def is_full(self) -> bool:
        """True while a frame waits to be taken."""
        return self._slot is not None

    @property
    def num_dropped(self) -> int:
        """Pictures replaced by newer ones before anyone took them."""
        return self._num_dropped

    @property
    def num_taken(self) -> int:
        """Pictures that the taken frames stand for."""
        return self._num_taken

    @property
    def first_taken_seconds(self) -> float | None:
        """Time of the first frame that was taken, on the camera's clock."""
        return self._first_taken_seconds

    @property
    def newest_taken_seconds(self) -> float | None:
        """Time of the newest picture that was taken, still or not, on the camera's clock."""
        return self._newest_taken_seconds

    def _join(self, waiting: Frame, frame: Frame) -> Frame:
        """What waits after `frame` came on top: a still one lengthens, another one replaces and keeps the gap."""
        if frame.is_still:
            return waiting.extended(frame)
        self._num_dropped += waiting.num_pictures
        return _keep_gap(waiting, frame)

    def _wait_until_empty(self, quit: threading.Event) -> bool:
        while self._slot is not None and not quit.is_set():
            self._changed.wait(_QUIT_POLL_SECONDS)
        return not quit.is_set()


def _keep_gap(dropped: Frame, frame: Frame) -> Frame:
    """The frame that replaces another one also tells of the gap before it."""
    if not dropped.gap_before:
        return frame
    return replace(frame, gap_before=True, gap_start_seconds=dropped.gap_start_seconds)
