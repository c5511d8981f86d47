"""ProcessReading: a camera that is read in a child process, which is killed when it hangs; knows no decoder.

Bounds: the child holds two frames, the pipe a part of one; nothing queues here. Every wait has an end.
"""

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from streamer.children import MAX_UNREAPED, Children, TooManyError
from streamer.clock import wall_of_moments, wall_seconds
from streamer.errors import CameraError
from streamer.frame import Frame
from streamer.isolated import order
from streamer.look import Looker
from streamer.messages import Head, MessageError, frame_of_message, unpack
from streamer.patience import Patience
from streamer.settings import CameraSettings
from streamer.source import SourceCounts

__all__ = ["ProcessReading"]

_QUIT_POLL_SECONDS = 0.1
_CHUNK_BYTES = 1 << 16
_ROOT = Path(__file__).parents[1]


class ProcessReading:
    """One child process for one connection. The looker here only keeps count: the child's has looked.

    A live frame's times are monotonic ones when they come, and this process's wall clock makes them times: were the
    child to read the system clock itself, a new one would see it set back, and all its frames were late.

    num_hung  children that were killed since they hung
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        looker: Looker,
        counts: SourceCounts,
        patience: Patience,
        quit: threading.Event,
        last_seconds: float | None,
        children: Children,
    ) -> None:
        self.num_hung = 0
        self.num_dropped = 0
        self._settings = settings
        self._looker = looker
        self._counts = counts
        self._patience = patience
        self._quit = quit
        self._last_seconds = last_seconds
        self._is_after_gap = last_seconds is not None
        self._clock_ahead_seconds = 0.0
        self._ahead_of_child_seconds: float | None = None
        self._num_late_here = 0
        self._before = replace(counts)
        self._num_seen = 0
        self._has_begun = False
        self._live = settings.live
        self._children = children
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def live(self) -> bool:
        return self._live

    def hanging_seconds(self) -> float | None:
        return None  # it is the child that hangs, and __iter__ sees to it

    def __enter__(self) -> Self:
        start_seconds = self._settings.start_seconds
        if start_seconds is None:
            start_seconds = wall_seconds()
        self._clock_ahead_seconds = wall_seconds() - time.monotonic()
        environment = os.environ | {"PYTHONPATH": _search_path()}
        try:
            child = self._children.start([sys.executable, "-P", "-m", "streamer.isolated"], environment=environment)
        except TooManyError:
            message = f"{self._settings.url}: {MAX_UNREAPED} processes that read it were killed and do not end"
            raise CameraError("timeout", f"{message}; see what this machine's disks or drivers wait for") from None
        except OSError as error:
            raise self._not_started(error) from None
        self._child = child
        orders = order(
            self._settings,
            start_seconds=start_seconds,
            clock_ahead_seconds=self._clock_ahead_seconds,
            counts=self._counts,
            patience=self._patience,
        )
        assert child.stdin is not None
        try:
            child.stdin.write(orders)
        except OSError as error:
            self._end()
            raise self._not_started(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def __iter__(self) -> Iterator[Frame | None]:
        while True:
            try:
                head, body = unpack(self._read)
                match head["kind"]:
                    case "open":
                        self._live = bool(head["live"])
                    case "status":
                        if self._take_status(head):
                            yield None
                    case "frame":
                        if (frame := self._adopt(frame_of_message(head, body))) is not None:
                            yield frame
                    case "end" if head["code"] is None:
                        return
                    case "end":
                        raise CameraError(head["code"], str(head["message"]))
            except _QuitError:
                return
            except (MessageError, KeyError, ValueError) as error:
                message = f"{self._settings.url}: the process that reads it sent nonsense"
                raise CameraError("lost", f"{message}; it is started again") from error

    def _take_status(self, status: Head) -> bool:
        """Takes over the child's counts; True if pictures were seen since the last time."""
        counts, before, theirs = self._counts, self._before, status["counts"]
        for name in ("num_packets", "num_skipped", "num_corrupt", "num_late"):
            setattr(counts, name, getattr(before, name) + theirs[name])
        counts.num_late += self._num_late_here
        counts.transport, counts.hardware_failed = theirs["transport"], theirs["hardware_failed"]
        counts.decodes_key_frames_only = theirs["decodes_key_frames_only"]
        if status["arrival_age_seconds"] is not None:
            counts.last_arrival_monotonic_seconds = time.monotonic() - status["arrival_age_seconds"]
        self.num_dropped = status["num_dropped"]
        if status["hanging_seconds"] is not None:
            raise self._hung(status["hanging_seconds"])
        num_new = int(status["num_seen"]) - self._num_seen
        self._num_seen = status["num_seen"]
        if num_new:
            self._looker.seen.count(num_new)
        return num_new > 0

    def _adopt(self, frame: Frame) -> Frame | None:
        """The child's frame as one of ours: its times and number, the gap before it, and never back in time."""
        last_seconds = self._last_seconds
        if self._live:
            frame = self._on_our_clock(frame)
        is_late = last_seconds is not None and frame.time_seconds <= last_seconds
        if is_late or (self._is_after_gap and frame.is_still):
            self._num_late_here += 1
            self._counts.num_late += 1
            return None
        self._last_seconds = frame.end_seconds
        frame = replace(frame, index=self._looker.num_sampled)
        if self._is_after_gap:
            frame = replace(frame, gap_before=True, gap_start_seconds=last_seconds)
            self._is_after_gap = False
        elif frame.gap_start_seconds is not None and last_seconds is not None:
            frame = replace(frame, gap_start_seconds=max(frame.gap_start_seconds, last_seconds))
        self._looker.num_sampled += frame.num_pictures
        return frame

    def _on_our_clock(self, frame: Frame) -> Frame:
        """A live frame with times of this process's wall clock. A jump ahead of that clock is a gap."""
        wall_of = wall_of_moments()

        def ours(child_seconds: float) -> float:
            return wall_of(child_seconds - self._clock_ahead_seconds)

        ahead_seconds, before_seconds = ours(frame.end_seconds) - frame.end_seconds, self._ahead_of_child_seconds
        if before_seconds is not None and ahead_seconds - before_seconds > self._patience.stale:
            self._is_after_gap = True
        self._ahead_of_child_seconds = ahead_seconds
        gap_start_seconds, until_seconds = frame.gap_start_seconds, frame.unchanged_until_seconds
        return replace(
            frame,
            time_seconds=ours(frame.time_seconds),
            gap_start_seconds=None if gap_start_seconds is None else ours(gap_start_seconds),
            unchanged_until_seconds=None if until_seconds is None else ours(until_seconds),
        )

    @property
    def last_seconds(self) -> float | None:
        """Time of the newest frame."""
        return self._last_seconds

    def _read(self, num_bytes: int) -> bytes:
        """Exactly `num_bytes` from the child, which must not be silent for long. Raises: CameraError, _QuitError."""
        child = self._child
        assert child is not None
        assert child.stdout is not None
        data = bytearray()
        poll = select.poll()
        poll.register(child.stdout, select.POLLIN)
        heard_seconds = time.monotonic()
        while len(data) < num_bytes:
            if self._quit.is_set():
                raise _QuitError
            if not poll.poll(1000 * _QUIT_POLL_SECONDS):
                silent_seconds = time.monotonic() - heard_seconds
                patience = self._patience
                if silent_seconds > (patience.child_silence if self._has_begun else patience.child_start):
                    raise self._hung(silent_seconds)
                continue
            part = os.read(child.stdout.fileno(), min(num_bytes - len(data), _CHUNK_BYTES))
            if not part:
                message = f"{self._settings.url}: the process that reads it ended unexpectedly"
                raise CameraError("lost", f"{message}; it is started again")
            self._has_begun = True
            data += part
            heard_seconds = time.monotonic()
        return bytes(data)

    def _hung(self, seconds: float) -> CameraError:
        self.num_hung += 1
        message = f"{self._settings.url}: the process that reads it hung for {seconds:.0f} s and was ended"
        return CameraError("timeout", f"{message}; check the camera and its network")

    def _not_started(self, error: OSError) -> CameraError:
        message = f"{self._settings.url}: the process that reads it did not start ({error.strerror})"
        return CameraError("lost", f"{message}; is this machine short of memory or processes?")

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            self._children.end(child)


class _QuitError(Exception):
    """The camera is being closed."""


def _search_path() -> str:
    """Where the child finds our packages, and what we found them with."""
    before = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(_ROOT), *([before] if before else [])])
