"""Short-term memory: the newest frames' tokens of every camera, in order, without a copy when read.

It knows no camera, no model and no long-term memory: somebody else merges what is due and says so with `mark_merged`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memory.checks import check_camera, check_sizes, check_tokens
from memory.slot import SlotTable


class DueRun(NamedTuple):
    """The frames `first_index` .. `first_index + num_frames - 1` of a camera, ready to be merged; no gap lies
    inside."""

    camera: int
    first_index: int
    num_frames: int


@dataclass(frozen=True)
class RingView:
    """One camera's frames, oldest first.

    `tokens` [T, N, W] is the ring's own memory, good until the next push; the arrays [T] are copies: `starts` and
    `ends` in seconds, `weights` (frames each stands for), `gap_before`, `slot_ids` (the frame's index, counted from
    the first push) and `unmerged` (not yet in long-term memory).
    """

    tokens: Tensor
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    weights: NDArray[np.int64]
    gap_before: NDArray[np.bool_]
    slot_ids: NDArray[np.int64]
    unmerged: NDArray[np.bool_]

    def __repr__(self) -> str:
        return f"RingView(tokens={list(self.tokens.shape)} {self.tokens.dtype}, unmerged={int(self.unmerged.sum())})"


class ShortTermMemory:
    """A ring of `window_frames + headroom_frames` frames per camera.

    tokens: [num_cameras, 2 * capacity_frames, num_tokens, width] of `dtype` on `device`, allocated once. Each frame
    is written twice, `capacity_frames` apart, so any run of frames lies contiguous and in order somewhere: reading
    never copies.

    Every frame is unmerged or merged. Merged ones stay, for "now", until a push needs their place. Frames are
    numbered from 0 for each camera; that index is the frame's `slot_id`. One thread owns the ring.

    Raises:
        ValueError: a size is not positive, or the headroom is smaller than the window.
    """

    def __init__(
        self,
        num_cameras: int,
        *,
        num_tokens: int,
        width: int,
        window_frames: int = 18,
        headroom_frames: int = 18,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        check_sizes(num_cameras=num_cameras, num_tokens=num_tokens, width=width, window_frames=window_frames)
        if headroom_frames < window_frames:
            raise ValueError(
                f"expected as much headroom as window ({window_frames} frames) or more, received {headroom_frames}"
            )
        self.num_cameras = num_cameras
        self.num_tokens = num_tokens
        self.width = width
        self.window_frames = window_frames
        self.capacity_frames = window_frames + headroom_frames
        self.num_overrun = [0] * num_cameras
        self._tokens = torch.zeros(
            (num_cameras, 2 * self.capacity_frames, num_tokens, width), dtype=dtype, device=device
        )
        self._table = SlotTable(num_cameras, self.capacity_frames)
        self._oldest = [0] * num_cameras
        self._first_unmerged = [0] * num_cameras
        self._next = [0] * num_cameras

    @property
    def dtype(self) -> torch.dtype:
        return self._tokens.dtype

    @property
    def device(self) -> torch.device:
        return self._tokens.device

    @property
    def nbytes(self) -> int:
        """Bytes on the device and on the host; the same for ever."""
        return self._tokens.nbytes + self._table.nbytes

    def num_frames(self, camera: int) -> int:
        """Frames of the camera in the ring now."""
        check_camera(camera, self.num_cameras)
        return self._next[camera] - self._oldest[camera]

    def num_unmerged(self, camera: int) -> int:
        """Frames of the camera that are not yet in long-term memory."""
        check_camera(camera, self.num_cameras)
        return self._next[camera] - self._first_unmerged[camera]

    def window_first_index(self, camera: int) -> int:
        """Index of the oldest frame of the window: the newest `window_frames` frames."""
        check_camera(camera, self.num_cameras)
        return max(self._oldest[camera], self._next[camera] - self.window_frames)

    def newest_seconds(self, camera: int) -> float | None:
        """When the newest frame was last seen; None before the first frame."""
        if not self.num_frames(camera):
            return None
        return float(self._table.end_seconds[camera, self._place(self._next[camera] - 1)])

    def push(
        self,
        camera: int,
        tokens: Tensor,
        *,
        start_seconds: float,
        end_seconds: float,
        picture: bytes = b"",
        gap_before: bool = False,
    ) -> tuple[float, float] | None:
        """Takes in the newest frame; allocates nothing.

        tokens: [N, W], any floating dtype, any device; copied and converted.
        gap_before: the camera was lost between the frame before and this one.

        Returns the span that is lost, (start, end) in seconds, when all frames are unmerged and the oldest has to go:
        from its start to the start of the frame after it. The loss is counted in `num_overrun`, and that frame then
        has a gap before it.

        Raises:
            ValueError: no such camera, a wrong shape or dtype, a picture too long, or times that are not finite or go
                backwards. Nothing is changed then.
        """
        check_camera(camera, self.num_cameras)
        check_tokens(tokens, (self.num_tokens, self.width))
        self._check_times(camera, start_seconds, end_seconds)
        SlotTable.check_picture(picture)
        lost = self._make_place(camera)
        index = self._next[camera]
        place = self._place(index)
        self._tokens[camera, place].copy_(tokens.detach())
        self._tokens[camera, place + self.capacity_frames].copy_(self._tokens[camera, place])
        self._table.write(
            camera,
            place,
            slot_id=index,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            weight=1,
            gap_before=gap_before,
            last_frame_id=index,
            picture=picture,
        )
        self._next[camera] = index + 1
        return lost

    def extend_newest(self, camera: int, *, end_seconds: float, num_frames: int = 1) -> bool:
        """Counts unchanged frames into the newest one: its end moves to `end_seconds`, its weight grows by
        `num_frames`.

        False, and nothing is changed, when there is no newest frame or when it has been merged: `repeat_newest` then.

        Raises:
            ValueError: no such camera, fewer than one frame, or a time that is not finite or goes backwards.
        """
        check_sizes(num_frames=num_frames)
        if not self.num_unmerged(camera):
            return False
        self._check_times(camera, end_seconds, end_seconds)
        place = self._place(self._next[camera] - 1)
        self._table.end_seconds[camera, place] = end_seconds
        self._table.weight[camera, place] += num_frames
        return True

    def repeat_newest(
        self, camera: int, *, start_seconds: float, end_seconds: float, num_frames: int = 1
    ) -> tuple[float, float] | None:
        """Takes in the newest frame once more, tokens and picture, as one that stands for `num_frames` unchanged ones.

        Returns what `push` returns.

        Raises:
            ValueError: no frame yet, fewer than one frame, or what `push` raises.
        """
        check_sizes(num_frames=num_frames)
        if not self.num_frames(camera):
            raise ValueError(f"camera {camera} has no frame to repeat: push one first")
        newest = self._place(self._next[camera] - 1)
        lost = self.push(
            camera,
            self._tokens[camera, newest],
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            picture=self._table.picture(camera, newest),
        )
        self._table.weight[camera, self._place(self._next[camera] - 1)] = num_frames
        return lost

    def due(
        self, now_seconds: float | Sequence[float], *, max_age_seconds: float = 10.0, flush: bool = False
    ) -> list[DueRun]:
        """The oldest run of unmerged frames of each camera that is due; at most `window_frames` long, never over a gap.

        A run is due when it is `window_frames` long, when a gap follows it, when its oldest frame started
        `max_age_seconds` ago or earlier, or when all is to be flushed.

        now_seconds: one time for all cameras, or one per camera where their clocks differ.

        Raises:
            ValueError: another number of times than cameras.
        """
        clocks = [now_seconds] * self.num_cameras if isinstance(now_seconds, int | float) else list(now_seconds)
        if len(clocks) != self.num_cameras:
            raise ValueError(f"expected one time or {self.num_cameras}, one per camera, received {len(clocks)}")
        runs = []
        for camera, now in enumerate(clocks):
            run, gap_follows = self._oldest_run(camera)
            if not run.num_frames:
                continue
            age_seconds = now - self._table.start_seconds[camera, self._place(run.first_index)]
            if flush or gap_follows or run.num_frames == self.window_frames or age_seconds >= max_age_seconds:
                runs.append(run)
        return runs

    def mark_merged(self, run: DueRun) -> None:
        """Says that the frames of a run are in long-term memory now.

        Raises:
            ValueError: the run does not start at the oldest unmerged frame, or is longer than what is unmerged.
        """
        first, unmerged = self._first_unmerged[run.camera], self.num_unmerged(run.camera)
        if run.first_index != first or not 0 <= run.num_frames <= unmerged:
            raise ValueError(f"expected a run from frame {first} of at most {unmerged} frames, received {run}")
        self._first_unmerged[run.camera] += run.num_frames

    def view(self, camera: int, *, first_index: int | None = None, count: int | None = None) -> RingView:
        """The camera's frames in order, or `count` of them from `first_index` on; no token is copied.

        Raises:
            ValueError: no such camera, or frames that are not in the ring.
        """
        check_camera(camera, self.num_cameras)
        oldest, end = self._oldest[camera], self._next[camera]
        first = oldest if first_index is None else first_index
        stop = end if count is None else first + count
        if not oldest <= first <= stop <= end:
            raise ValueError(f"expected frames within {oldest}..{end}, received {first}..{stop}")
        indices = np.arange(first, stop, dtype=np.int64)
        places = indices % self.capacity_frames
        start = self._place(first)
        return RingView(
            tokens=self._tokens[camera, start : start + stop - first],
            starts=self._table.start_seconds[camera, places],
            ends=self._table.end_seconds[camera, places],
            weights=self._table.weight[camera, places],
            gap_before=self._table.gap_before[camera, places],
            slot_ids=indices,
            unmerged=indices >= self._first_unmerged[camera],
        )

    def picture(self, camera: int, slot_id: int) -> bytes:
        """The JPEG of a frame; b"" where it came without one or has left the ring.

        Raises:
            ValueError: no such camera.
        """
        check_camera(camera, self.num_cameras)
        if not self._oldest[camera] <= slot_id < self._next[camera]:
            return b""
        return self._table.picture(camera, self._place(slot_id))

    def _place(self, index: int) -> int:
        return index % self.capacity_frames

    def _make_place(self, camera: int) -> tuple[float, float] | None:
        oldest = self._oldest[camera]
        if self._next[camera] - oldest < self.capacity_frames:
            return None
        self._oldest[camera] = oldest + 1
        if self._first_unmerged[camera] > oldest:
            return None
        self._first_unmerged[camera] = oldest + 1
        self.num_overrun[camera] += 1
        after = self._place(oldest + 1)
        self._table.gap_before[camera, after] = True
        starts = self._table.start_seconds[camera]
        return float(starts[self._place(oldest)]), float(starts[after])

    def _oldest_run(self, camera: int) -> tuple[DueRun, bool]:
        first = self._first_unmerged[camera]
        longest = min(self.num_unmerged(camera), self.window_frames)
        for count in range(1, longest):
            if self._table.gap_before[camera, self._place(first + count)]:
                return DueRun(camera, first, count), True
        return DueRun(camera, first, longest), False

    def _check_times(self, camera: int, start_seconds: float, end_seconds: float) -> None:
        if not (math.isfinite(start_seconds) and math.isfinite(end_seconds)):
            raise ValueError(f"expected finite times, received {start_seconds} .. {end_seconds}")
        if end_seconds < start_seconds:
            raise ValueError(f"expected an end at or after the start {start_seconds}, received {end_seconds}")
        if not self.num_frames(camera):
            return
        newest = self._place(self._next[camera] - 1)
        last_start = float(self._table.start_seconds[camera, newest])
        last_end = float(self._table.end_seconds[camera, newest])
        if start_seconds < last_start or end_seconds < last_end:
            raise ValueError(
                f"time goes backwards: expected a start from {last_start} and an end from {last_end} on, "
                f"received {start_seconds} .. {end_seconds}"
            )
