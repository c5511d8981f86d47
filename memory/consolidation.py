"""From the ring into long-term memory: every camera's due frames, merged in one launch.

It knows no clock and no loop: the slow clock calls it about once a second.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from memory.long_term import LongTermMemory
from memory.ring import DueRun, RingView, ShortTermMemory
from memory.similarity_merge import consolidate


class Appended(NamedTuple):
    """The slots that a camera's run of frames became in long-term memory, oldest first."""

    camera: int
    slot_ids: list[int]


class Consolidator:
    """Merges each due run of frames to at most `keep` slots of long-term memory and marks the frames merged.

    The staging buffer [num_cameras, window_frames, N, W] is allocated once. A slot's span goes from its first frame's
    start to its last frame's end, its weight is the number of frames, its picture is the middle frame's (or the
    nearest to it that has one). Frames with NaN or Inf weigh nothing and are counted in `num_nonfinite`; a run of
    nothing else becomes no slot.

    Raises:
        ValueError: ring and long-term memory differ in cameras or token shape, keep is not in 1..window_frames, or
            long-term memory keeps no more slots than the ring's window has frames (it could not spare what the ring
            still shows).
    """

    def __init__(self, ring: ShortTermMemory, long_term: LongTermMemory, *, keep: int = 2) -> None:
        ring_shape = (ring.num_cameras, ring.num_tokens, ring.width)
        long_term_shape = (long_term.num_cameras, long_term.num_tokens, long_term.width)
        if ring_shape != long_term_shape:
            raise ValueError(f"expected a ring and a long-term memory alike, received {ring_shape}, {long_term_shape}")
        if not 1 <= keep <= ring.window_frames:
            raise ValueError(f"expected keep in 1..{ring.window_frames}, received {keep}")
        if long_term.keep <= ring.window_frames or long_term.capacity - long_term.keep < keep:
            raise ValueError(
                f"expected a long-term memory that keeps more than {ring.window_frames} slots (the ring's window) and "
                f"has room for {keep} beyond, received keep={long_term.keep}, capacity={long_term.capacity}"
            )
        self.ring = ring
        self.long_term = long_term
        self.keep = keep
        self.num_nonfinite = [0] * ring.num_cameras
        self._owes_gap = [False] * ring.num_cameras  # a slot that weighed nothing took its gap with it
        self._staging = torch.zeros(
            (ring.num_cameras, ring.window_frames, ring.num_tokens, ring.width), dtype=ring.dtype, device=ring.device
        )
        consolidate(  # compiles, where that is still to do: it takes seconds, and no camera runs yet
            self._staging, keep, similarity=long_term.similarity, merge=long_term.merge
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the staging buffer; the same for ever."""
        return self._staging.nbytes

    def run(
        self, now_seconds: float | Sequence[float], *, max_age_seconds: float = 10.0, flush: bool = False
    ) -> list[Appended]:
        """Consolidates everything that is due; with `flush`, everything.

        now_seconds: one time for all cameras, or one per camera where their clocks differ.

        Raises:
            ValueError: another number of times than cameras.
        """
        appended: list[Appended] = []
        while runs := self.ring.due(now_seconds, max_age_seconds=max_age_seconds, flush=flush):
            appended += self._consolidate(runs)
        return appended

    def _consolidate(self, runs: list[DueRun]) -> list[Appended]:
        views = [self.ring.view(run.camera, first_index=run.first_index, count=run.num_frames) for run in runs]
        weights = torch.ones(len(runs), self.ring.window_frames)
        for row, (run, view) in enumerate(zip(runs, views, strict=True)):
            self._staging[row, : run.num_frames].copy_(view.tokens)
            weights[row, : run.num_frames] = torch.from_numpy(view.weights)
        result = consolidate(
            self._staging[: len(runs)],
            self.keep,
            weights=weights.to(self.ring.device),
            num_valid=torch.tensor([run.num_frames for run in runs], dtype=torch.int32, device=self.ring.device),
            width=self.long_term.similarity_width,
            similarity=self.long_term.similarity,
            merge=self.long_term.merge,
        )
        boundaries, slot_weights = result.boundaries.tolist(), result.weights.tolist()
        num_nonfinite = result.num_nonfinite.tolist()
        appended = []
        for row, (run, view) in enumerate(zip(runs, views, strict=True)):
            self.num_nonfinite[run.camera] += num_nonfinite[row]
            rows = [k for k in range(self.keep) if slot_weights[row][k] > 0]
            spans = [(boundaries[row][k], boundaries[row][k + 1]) for k in rows]
            slot_ids = self.long_term.append(
                run.camera,
                result.tokens[row, rows],
                starts=[float(view.starts[start]) for start, _ in spans],
                ends=[float(view.ends[stop - 1]) for _, stop in spans],
                weights=[round(slot_weights[row][k]) for k in rows],
                gap_before=self._gaps_before(run.camera, view, spans),
                pictures=[self._key_picture(run.camera, view, start, stop) for start, stop in spans],
                last_frame_ids=[int(view.slot_ids[stop - 1]) for _, stop in spans],
                protect_from_frame_id=self.ring.window_first_index(run.camera),
            )
            self.ring.mark_merged(run)
            if slot_ids:
                appended.append(Appended(run.camera, slot_ids))
        return appended

    def _gaps_before(self, camera: int, view: RingView, spans: list[tuple[int, int]]) -> list[bool]:
        """Per slot: is there a gap since the slot before? One among frames that became no slot is not lost."""
        gaps: list[bool] = []
        covered = 0
        for _, stop in spans:
            gaps.append(self._owes_gap[camera] or bool(view.gap_before[covered:stop].any()))
            self._owes_gap[camera] = False
            covered = stop
        self._owes_gap[camera] |= bool(view.gap_before[covered:].any())
        return gaps

    def _key_picture(self, camera: int, view: RingView, start: int, stop: int) -> bytes:
        middle = (start + stop - 1) // 2
        for index in sorted(range(start, stop), key=lambda index: abs(index - middle)):
            if picture := self.ring.picture(camera, int(view.slot_ids[index])):
                return picture
        return b""
