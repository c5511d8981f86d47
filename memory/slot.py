"""Slot metadata on the host: when, how many frames, one picture and one note per slot, in arrays of fixed size.

It knows no tokens: what a slot looks like on the device is the business of whoever owns the table.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PICTURE_CAPACITY_BYTES = 64 * 1024
NOTE_CAPACITY_BYTES = 200
NO_FRAME = -1


def cut_note(note: str) -> bytes:
    """The note as at most `NOTE_CAPACITY_BYTES` bytes of UTF-8, cut between two characters."""
    encoded = note.encode("utf-8", errors="replace")
    return encoded[:NOTE_CAPACITY_BYTES].decode("utf-8", errors="ignore").encode("utf-8")


def _committed(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Zeros that are written: `np.zeros` leaves its pages to be made at their first use, so a process would grow as the
    slots fill."""
    return np.full(shape, 0, np.uint8)


class SlotTable:
    """What is known about `capacity` slots of each of `num_cameras` cameras; every array is allocated once.

    The arrays are [num_cameras, capacity]: `start_seconds` and `end_seconds` float64, `weight` int64 (frames merged
    into the slot), `gap_before` bool, `slot_id` int64 (stable as long as the slot lives), `last_frame_id` int64 (the
    ring's id of the newest frame in the slot, `NO_FRAME` where unknown). Which entries are in use is for the owner to
    know.
    """

    def __init__(self, num_cameras: int, capacity: int) -> None:
        shape = (num_cameras, capacity)
        self.start_seconds: NDArray[np.float64] = np.zeros(shape, np.float64)
        self.end_seconds: NDArray[np.float64] = np.zeros(shape, np.float64)
        self.weight: NDArray[np.int64] = np.zeros(shape, np.int64)
        self.gap_before: NDArray[np.bool_] = np.zeros(shape, np.bool_)
        self.slot_id: NDArray[np.int64] = np.zeros(shape, np.int64)
        self.last_frame_id: NDArray[np.int64] = np.full(shape, NO_FRAME, np.int64)
        self._picture_bytes: NDArray[np.int32] = np.zeros(shape, np.int32)
        self._pictures: NDArray[np.uint8] = _committed((*shape, PICTURE_CAPACITY_BYTES))
        self._note_bytes: NDArray[np.int16] = np.zeros(shape, np.int16)
        self._notes: NDArray[np.uint8] = _committed((*shape, NOTE_CAPACITY_BYTES))

    @property
    def nbytes(self) -> int:
        """Host bytes of all arrays; the same for ever."""
        return sum(array.nbytes for array in self._arrays())

    def write(
        self,
        camera: int,
        index: int,
        *,
        slot_id: int,
        start_seconds: float,
        end_seconds: float,
        weight: int,
        gap_before: bool,
        last_frame_id: int = NO_FRAME,
        picture: bytes = b"",
        note: str = "",
    ) -> None:
        """Fills one entry.

        Raises:
            ValueError: the picture is longer than `PICTURE_CAPACITY_BYTES`; nothing is changed then.
        """
        self.check_picture(picture)
        self.start_seconds[camera, index] = start_seconds
        self.end_seconds[camera, index] = end_seconds
        self.weight[camera, index] = weight
        self.gap_before[camera, index] = gap_before
        self.slot_id[camera, index] = slot_id
        self.last_frame_id[camera, index] = last_frame_id
        self.set_picture(camera, index, picture)
        self.set_note(camera, index, note)

    def copy(self, camera: int, source: int, target: int, *, count: int = 1) -> None:
        """Copies `count` entries, from `source` on, over those from `target` on; the two may overlap."""
        if source == target:
            return
        longest = int(self._picture_bytes[camera, source : source + count].max(initial=0))
        for array in self._arrays():
            entries = array[camera] if array is not self._pictures else array[camera, :, :longest]
            entries[target : target + count] = entries[source : source + count]

    def picture(self, camera: int, index: int) -> bytes:
        """The JPEG of one entry, b"" where it has none."""
        return self._pictures[camera, index, : self._picture_bytes[camera, index]].tobytes()

    def set_picture(self, camera: int, index: int, picture: bytes) -> None:
        """Replaces the JPEG of one entry.

        Raises:
            ValueError: it is longer than `PICTURE_CAPACITY_BYTES`.
        """
        self.check_picture(picture)
        self._picture_bytes[camera, index] = len(picture)
        self._pictures[camera, index, : len(picture)] = np.frombuffer(picture, np.uint8)

    def note(self, camera: int, index: int) -> str:
        """The note of one entry, "" where it has none."""
        return self._notes[camera, index, : self._note_bytes[camera, index]].tobytes().decode("utf-8")

    def set_note(self, camera: int, index: int, note: str) -> None:
        """Replaces the note of one entry; what goes over `NOTE_CAPACITY_BYTES` is cut off between two characters."""
        encoded = cut_note(note)
        self._note_bytes[camera, index] = len(encoded)
        self._notes[camera, index, : len(encoded)] = np.frombuffer(encoded, np.uint8)

    @staticmethod
    def check_picture(picture: bytes) -> None:
        """Refuses a picture that does not fit.

        Raises:
            ValueError: the picture is longer than `PICTURE_CAPACITY_BYTES`.
        """
        if len(picture) > PICTURE_CAPACITY_BYTES:
            raise ValueError(
                f"a slot holds a picture of at most {PICTURE_CAPACITY_BYTES} bytes, received {len(picture)}: "
                "make it smaller or lower its JPEG quality"
            )

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return (
            self.start_seconds,
            self.end_seconds,
            self.weight,
            self.gap_before,
            self.slot_id,
            self.last_frame_id,
            self._picture_bytes,
            self._pictures,
            self._note_bytes,
            self._notes,
        )
