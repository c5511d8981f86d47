"""Long-term memory: a bounded number of slots per camera that consolidates itself when it is full.

It knows no ring, no disk and no words: slots come in with their spans and weights, notes are text somebody gives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memory.checks import check_camera, check_sizes, check_tokens
from memory.policy import FullMemory, PolicyName, policy_of
from memory.rows import Likeness
from memory.similarity_merge import Merge, Similarity
from memory.slot import NO_FRAME, SlotTable


@dataclass(frozen=True)
class LongTermView:
    """One camera's slots, oldest first.

    `tokens` [T, N, W] is the memory itself, good until the next append; the arrays [T] are copies: `starts` and
    `ends` in seconds, `weights` (frames merged into each), `gap_before`, `slot_ids`, and `last_frame_ids`, the ring's
    id of the newest frame in each, -1 where unknown.
    """

    tokens: Tensor
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    weights: NDArray[np.int64]
    gap_before: NDArray[np.bool_]
    slot_ids: NDArray[np.int64]
    last_frame_ids: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"LongTermView(tokens={list(self.tokens.shape)} {self.tokens.dtype})"


class LongTermMemory:
    """At most `capacity` slots per camera; when more come, the old ones are made `keep` first, as `policy` says.

    tokens: [num_cameras, capacity, num_tokens, width] of `dtype` on `device`, allocated once.

    Spans and weights ride along; of the slots merged into one, the heaviest (the earliest of the heaviest) gives its
    id, its picture and its note. Ids count up from 0 for each camera and are never given twice. Counters per camera:
    `num_appended` slots, `num_merged` slots that went into another, `num_dropped` slots that left: because gaps
    allowed no merge, or because the policy drops. Similarity reads the first `similarity_width` channels, default all;
    `similarity` and `merge` are the policy's unless given. One thread owns the memory. See `memory.policy`.

    Raises:
        ValueError: a size is not positive, keep is not in 1..capacity - 1, similarity_width is not in 1..width, or
            there is no such policy, similarity or merge.
    """

    def __init__(
        self,
        num_cameras: int,
        *,
        num_tokens: int,
        width: int,
        capacity: int = 256,
        keep: int = 128,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        similarity_width: int | None = None,
        policy: PolicyName = "similarity",
        similarity: Similarity | None = None,
        merge: Merge | None = None,
    ) -> None:
        check_sizes(num_cameras=num_cameras, num_tokens=num_tokens, width=width)
        if not 1 <= keep < capacity:
            raise ValueError(f"expected keep in 1..{capacity - 1} (below capacity), received {keep}")
        if similarity_width is not None and not 1 <= similarity_width <= width:
            raise ValueError(f"expected similarity_width in 1..{width}, received {similarity_width}")
        self.num_cameras = num_cameras
        self.num_tokens = num_tokens
        self.width = width
        self.capacity = capacity
        self.keep = keep
        self.similarity_width = similarity_width
        self._policy = policy_of(policy, similarity=similarity, merge=merge)
        self.num_appended = [0] * num_cameras
        self.num_merged = [0] * num_cameras
        self.num_dropped = [0] * num_cameras
        self._tokens = torch.zeros((num_cameras, capacity, num_tokens, width), dtype=dtype, device=device)
        self._table = SlotTable(num_cameras, capacity)
        self._num_slots = [0] * num_cameras

    @property
    def policy(self) -> PolicyName:
        return self._policy.name

    @property
    def similarity(self) -> Similarity:
        return self._policy.similarity

    @property
    def merge(self) -> Merge:
        return self._policy.merge

    @property
    def likeness(self) -> Likeness:
        """By what evidence is made to fit."""
        return Likeness(self.similarity, self.merge, self.similarity_width)

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

    def num_slots(self, camera: int) -> int:
        """Slots of the camera now."""
        check_camera(camera, self.num_cameras)
        return self._num_slots[camera]

    def append(
        self,
        camera: int,
        tokens: Tensor,
        *,
        starts: Sequence[float],
        ends: Sequence[float],
        weights: Sequence[int],
        gap_before: Sequence[bool],
        pictures: Sequence[bytes] | None = None,
        notes: Sequence[str] | None = None,
        last_frame_ids: Sequence[int] | None = None,
        protect_from_frame_id: int | None = None,
    ) -> list[int]:
        """Takes in k slots that are newer than all others and gives them ids; makes room first where they do not fit.

        tokens: [k, N, W], any floating dtype, any device; copied and converted.
        last_frame_ids: the ring's id of the newest frame in each slot, default -1.
        protect_from_frame_id: slots with such a frame or a newer one are not merged yet, because the ring still shows
            them; at most keep - 1 slots are spared.

        Returns the new slots' ids.

        Raises:
            ValueError: no such camera, lengths or shapes that do not fit, more slots than `capacity - keep`, a weight
                below 1, or a picture that is too long. Nothing is changed then.
        """
        check_camera(camera, self.num_cameras)
        count = len(starts)
        pictures = [b""] * count if pictures is None else pictures
        notes = [""] * count if notes is None else notes
        frame_ids = [NO_FRAME] * count if last_frame_ids is None else last_frame_ids
        check_tokens(tokens, (count, self.num_tokens, self.width))
        lengths = [len(column) for column in (ends, weights, gap_before, pictures, notes, frame_ids)]
        if any(length != count for length in lengths):
            raise ValueError(f"expected {count} ends, weights, gap_before, pictures, notes and ids, received {lengths}")
        if count > self.capacity - self.keep:
            raise ValueError(f"expected at most {self.capacity - self.keep} slots at a time, received {count}")
        if any(weight < 1 for weight in weights):
            raise ValueError(f"expected weights of at least 1 frame, received {min(weights)}")
        for picture in pictures:
            SlotTable.check_picture(picture)
        if self._num_slots[camera] + count > self.capacity:
            self._make_room(camera, protect_from_frame_id)
        first = self._num_slots[camera]
        self._tokens[camera, first : first + count].copy_(tokens.detach())
        slot_ids = list(range(self.num_appended[camera], self.num_appended[camera] + count))
        for k in range(count):
            self._table.write(
                camera,
                first + k,
                slot_id=slot_ids[k],
                start_seconds=starts[k],
                end_seconds=ends[k],
                weight=weights[k],
                gap_before=gap_before[k],
                last_frame_id=frame_ids[k],
                picture=pictures[k],
                note=notes[k],
            )
        self._num_slots[camera] += count
        self.num_appended[camera] += count
        return slot_ids

    def set_note(self, camera: int, slot_id: int, note: str) -> bool:
        """Gives a slot its note, cut at 200 bytes; False when the slot is no more (merged into another, or dropped).

        Raises:
            ValueError: no such camera.
        """
        index = self._index(camera, slot_id)
        if index is None:
            return False
        self._table.set_note(camera, index, note)
        return True

    def set_picture(self, camera: int, slot_id: int, picture: bytes) -> bool:
        """Gives a slot its JPEG; False when the slot is no more.

        Raises:
            ValueError: no such camera, or a picture that is too long.
        """
        index = self._index(camera, slot_id)
        if index is None:
            return False
        self._table.set_picture(camera, index, picture)
        return True

    def note(self, camera: int, slot_id: int) -> str:
        """A slot's note; "" where it has none or is no more."""
        index = self._index(camera, slot_id)
        return "" if index is None else self._table.note(camera, index)

    def picture(self, camera: int, slot_id: int) -> bytes:
        """A slot's JPEG; b"" where it has none or is no more."""
        index = self._index(camera, slot_id)
        return b"" if index is None else self._table.picture(camera, index)

    def view(self, camera: int) -> LongTermView:
        """The camera's slots in order; no token is copied.

        Raises:
            ValueError: no such camera.
        """
        check_camera(camera, self.num_cameras)
        count = self._num_slots[camera]
        table = self._table
        return LongTermView(
            tokens=self._tokens[camera, :count],
            starts=table.start_seconds[camera, :count].copy(),
            ends=table.end_seconds[camera, :count].copy(),
            weights=table.weight[camera, :count].copy(),
            gap_before=table.gap_before[camera, :count].copy(),
            slot_ids=table.slot_id[camera, :count].copy(),
            last_frame_ids=table.last_frame_id[camera, :count].copy(),
        )

    def _make_room(self, camera: int, protect_from_frame_id: int | None) -> None:
        """Lets go so that `keep` are left in all; the newest, spared ones move up behind the survivors."""
        count = self._num_slots[camera]
        spared = self._num_spared(camera, protect_from_frame_id)
        left = self._shrink_oldest(camera, count - spared, keep=self.keep - spared)
        for offset in range(spared):  # forwards, so no slot is overwritten before it has moved
            source, target = count - spared + offset, left + offset
            self._tokens[camera, target].copy_(self._tokens[camera, source])
            self._table.copy(camera, source, target)
        self._num_slots[camera] = left + spared

    def _num_spared(self, camera: int, protect_from_frame_id: int | None) -> int:
        if protect_from_frame_id is None:
            return 0
        frame_ids = self._table.last_frame_id[camera, : self._num_slots[camera]]
        return min(int((frame_ids >= protect_from_frame_id).sum()), self.keep - 1)

    def _shrink_oldest(self, camera: int, count: int, *, keep: int) -> int:
        """Makes the oldest `count` slots at most `keep`, in place; returns how many are left."""
        if count <= keep:
            return count
        table = self._table
        memory = FullMemory(
            self._tokens[camera, :count],
            starts=table.start_seconds[camera, :count],
            weights=table.weight[camera, :count],
            gap_before=table.gap_before[camera, :count],
            width=self.similarity_width,
        )
        tokens, spans = self._policy.shrink(self._policy, memory, keep)
        self._tokens[camera, : len(spans)].copy_(tokens)
        covered = spans[0][0]
        for k, (start, stop) in enumerate(spans):
            table.gap_before[camera, start] |= table.gap_before[camera, covered:start].any()  # of what was dropped
            self._merge_metadata(camera, start, stop, k)
            covered = stop
        num_covered = sum(stop - start for start, stop in spans)
        self.num_dropped[camera] += count - num_covered
        self.num_merged[camera] += num_covered - len(spans)
        return len(spans)

    def _merge_metadata(self, camera: int, start: int, stop: int, target: int) -> None:
        """Entries start .. stop - 1 become the entry `target` <= start; what is later has not been touched yet."""
        table = self._table
        start_seconds = float(table.start_seconds[camera, start])
        end_seconds = float(table.end_seconds[camera, start:stop].max())
        weight = int(table.weight[camera, start:stop].sum())
        gap_before = bool(table.gap_before[camera, start])
        last_frame_id = int(table.last_frame_id[camera, stop - 1])
        heaviest = start + int(table.weight[camera, start:stop].argmax())
        table.copy(camera, heaviest, target)
        table.start_seconds[camera, target] = start_seconds
        table.end_seconds[camera, target] = end_seconds
        table.weight[camera, target] = weight
        table.gap_before[camera, target] = gap_before
        table.last_frame_id[camera, target] = last_frame_id

    def _index(self, camera: int, slot_id: int) -> int | None:
        check_camera(camera, self.num_cameras)
        found = np.flatnonzero(self._table.slot_id[camera, : self._num_slots[camera]] == slot_id)
        return int(found[0]) if found.size else None
