"""All cameras' memory in one place: ring, long-term memory and gaps, allocated at the start and never again.

It knows no camera, no model and no clock; one thread may use it at a time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from memory.consolidation import Appended, Consolidator
from memory.gaps import GapLog
from memory.long_term import LongTermMemory
from memory.moment import KeptMoment, Moment
from memory.policy import PolicyName
from memory.quantised import quantise
from memory.recall import Evidence, EvidenceBuffer, EvidenceSlot, recall
from memory.ring import ShortTermMemory


@dataclass(frozen=True)
class MemoryFill:
    """How much one camera has in memory."""

    ring_slots: int
    long_term_slots: int
    num_overrun: int
    """Frames that were lost because consolidation came too late."""


@dataclass(frozen=True)
class Reach:
    """From when to now one camera's memory has something, and how many gaps there are in it."""

    since_seconds: float
    now_seconds: float
    num_gaps: int


class Memory:
    """The tiers of `num_cameras` cameras whose frames are tokens [num_tokens, width] in `dtype` on `device`.

    `policy` says what goes when long-term memory is full, see `memory.policy`.
    """

    def __init__(
        self,
        num_cameras: int,
        *,
        num_tokens: int,
        width: int,
        max_slots: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        policy: PolicyName = "similarity",
        similarity_width: int | None = None,
    ) -> None:
        self._ring = ShortTermMemory(num_cameras, num_tokens=num_tokens, width=width, dtype=dtype, device=device)
        self._long_term = LongTermMemory(
            num_cameras,
            num_tokens=num_tokens,
            width=width,
            dtype=dtype,
            device=device,
            policy=policy,
            similarity_width=similarity_width,
        )
        self._gaps = GapLog(num_cameras)
        self._restored_until_seconds: list[float | None] = [None] * num_cameras
        self._consolidator = Consolidator(self._ring, self._long_term)
        self._evidence = EvidenceBuffer(max_slots, num_tokens=num_tokens, width=width, dtype=dtype, device=device)
        self._note = EvidenceBuffer(1, num_tokens=num_tokens, width=width, dtype=dtype, device=device)

    @property
    def nbytes(self) -> int:
        """Bytes of everything that was allocated, on the device and on the host; the same for ever."""
        parts = (self._ring, self._long_term, self._consolidator, self._evidence, self._note)
        return sum(part.nbytes for part in parts)

    def push(
        self,
        camera: int,
        tokens: Tensor,
        *,
        time_seconds: float,
        picture: bytes = b"",
        gap_start_seconds: float | None = None,
    ) -> None:
        """A new frame's tokens [N, W]; `gap_start_seconds` where the camera gave nothing between then and now.

        Raises: ValueError as `ShortTermMemory.push`.
        """
        until_seconds, self._restored_until_seconds[camera] = self._restored_until_seconds[camera], None
        if until_seconds is not None and until_seconds < time_seconds:
            gap_start_seconds = until_seconds
        has_gap = gap_start_seconds is not None
        lost = self._ring.push(
            camera, tokens, start_seconds=time_seconds, end_seconds=time_seconds, picture=picture, gap_before=has_gap
        )
        if gap_start_seconds is not None:
            self._gaps.add(camera, gap_start_seconds, time_seconds)
        if lost is not None:
            self._gaps.add(camera, *lost)

    def extend(self, camera: int, *, start_seconds: float, end_seconds: float, num_frames: int = 1) -> None:
        """`num_frames` frames from `start_seconds` to `end_seconds` showed what the newest one shows: no tokens needed.

        The newest slot grows; where it is in long-term memory already, it is taken into the ring once more.

        Raises: ValueError as `ShortTermMemory.repeat_newest`.
        """
        if self._ring.extend_newest(camera, end_seconds=end_seconds, num_frames=num_frames):
            return
        lost = self._ring.repeat_newest(
            camera, start_seconds=start_seconds, end_seconds=end_seconds, num_frames=num_frames
        )
        if lost is not None:
            self._gaps.add(camera, *lost)

    def room(self, camera: int) -> int:
        """How many frames may be pushed before one is pushed out that long-term memory does not have."""
        return self._ring.capacity_frames - self._ring.num_unmerged(camera)

    def is_due(self, camera: int) -> bool:
        """True where a whole window of frames waits for consolidation."""
        return self._ring.num_unmerged(camera) >= self._ring.window_frames

    def consolidate(self, now_seconds: list[float], *, flush: bool = False) -> list[Appended]:
        """Move what is due into long-term memory; `now_seconds` is one time per camera, on its own clock."""
        return self._consolidator.run(now_seconds, flush=flush)

    def moments(self, appended: Sequence[Appended]) -> list[tuple[int, list[Moment]]]:
        """(camera, moments) of slots that have just been appended, to be kept on disk."""
        found = []
        for camera, slot_ids in appended:
            view = self._long_term.view(camera)
            places = np.flatnonzero(np.isin(view.slot_ids, slot_ids))
            tokens = quantise(view.tokens[torch.from_numpy(places).to(view.tokens.device)])
            found.append(
                (
                    camera,
                    [
                        Moment(
                            slot_id=int(view.slot_ids[place]),
                            start_seconds=float(view.starts[place]),
                            end_seconds=float(view.ends[place]),
                            weight=int(view.weights[place]),
                            gap_before=bool(view.gap_before[place]),
                            tokens=each,
                            picture=self._long_term.picture(camera, int(view.slot_ids[place])),
                        )
                        for place, each in zip(places, tokens, strict=True)
                    ],
                )
            )
        return found

    def restore(self, camera: int, kept: Iterable[KeptMoment]) -> dict[int, int]:
        """Takes in moments, oldest first, before the camera's first frame; those without tokens are passed over.

        Long-term memory consolidates them as it did when they came. The time from the last of them to the first frame
        is a gap. Returns which moment each slot has its note and picture from.
        """
        moment_ids: dict[int, int] = {}
        room = self._long_term.capacity - self._long_term.keep
        before: KeptMoment | None = None
        readable = (moment for moment in kept if moment.tokens is not None)
        while part := list(islice(readable, room)):
            tokens = np.stack([moment.tokens.restored() for moment in part if moment.tokens is not None])
            slot_ids = self._long_term.append(
                camera,
                torch.from_numpy(tokens),
                starts=[moment.start_seconds for moment in part],
                ends=[moment.end_seconds for moment in part],
                weights=[moment.weight for moment in part],
                gap_before=[moment.gap_before for moment in part],
                notes=[moment.note for moment in part],
            )
            moment_ids |= zip(slot_ids, (moment.moment_id for moment in part), strict=True)
            for moment in part:
                if before is not None and moment.gap_before and moment.start_seconds > before.end_seconds:
                    self._gaps.add(camera, before.end_seconds, moment.start_seconds)
                before = moment
            self._restored_until_seconds[camera] = part[-1].end_seconds
        alive = self._long_term.view(camera).slot_ids
        return {int(slot_id): moment_ids[int(slot_id)] for slot_id in alive}

    def set_picture(self, camera: int, slot_id: int, picture: bytes) -> bool:
        """Give a slot its JPEG; False where it was merged away meanwhile."""
        return self._long_term.set_picture(camera, slot_id, picture)

    def newest_picture(self, camera: int) -> bytes:
        """The JPEG of the newest slot; b"" where there is none."""
        for part in (self._ring, self._long_term):
            slot_ids = part.view(camera).slot_ids
            if len(slot_ids):
                return part.picture(camera, int(slot_ids[-1]))
        return b""

    def reach(self, camera: int, *, now_seconds: float) -> Reach:
        """What a recall at `now_seconds` would go back to; nothing is older than now in an empty memory."""
        starts = [
            view.starts[0] for view in (self._long_term.view(camera), self._ring.view(camera)) if len(view.starts)
        ]
        since_seconds = float(min(starts, default=now_seconds))
        return Reach(since_seconds, now_seconds, len(self._gaps.between(camera, since_seconds, now_seconds)))

    def recall(self, camera: int, *, now_seconds: float, max_slots: int) -> Evidence:
        """The frozen view for one answer; good until the next call."""
        return recall(
            self._ring,
            self._long_term,
            self._gaps,
            camera,
            now_seconds=now_seconds,
            max_slots=min(max_slots, self._evidence.max_slots),
            out=self._evidence,
        )

    def recall_slot(self, camera: int, slot_id: int) -> Evidence | None:
        """The frozen view of one slot of long-term memory, to write its note from; None where it was merged away."""
        view = self._long_term.view(camera)
        places = (view.slot_ids == slot_id).nonzero()[0]
        if not len(places):
            return None
        place = int(places[0])
        self._note.tokens[0].copy_(view.tokens[place])
        end_seconds = float(view.ends[place])
        slot = EvidenceSlot(
            "long_term",
            float(view.starts[place]),
            end_seconds,
            int(view.weights[place]),
            note="",
            slot_id=slot_id,
            picture=self._long_term.picture(camera, slot_id),
        )
        return Evidence(
            camera=camera,
            now_seconds=end_seconds,
            tokens=self._note.tokens,
            slots=(slot,),
            gaps=(),
            newest_seconds=end_seconds,
            frame_age_seconds=0.0,
        )

    def set_note(self, camera: int, slot_id: int, note: str) -> bool:
        """Write a slot's note; False where it was merged away meanwhile."""
        return self._long_term.set_note(camera, slot_id, note)

    def fill(self, camera: int) -> MemoryFill:
        return MemoryFill(
            ring_slots=self._ring.num_frames(camera),
            long_term_slots=self._long_term.num_slots(camera),
            num_overrun=self._ring.num_overrun[camera],
        )
