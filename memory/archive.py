"""The archive: moments on disk, written as they are consolidated.

One thread uses it at a time. It knows no camera but by name, no model but by its encoder's identity, and no event loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from memory.archive_file import FILE_NAME, ArchiveFile, told
from memory.archive_reader import ArchiveReader, EncoderKind
from memory.moment import Moment
from memory.retention import Coming, Retention, give_back, make_room, used_bytes
from memory.slot import cut_note
from memory.unchanged import is_unchanged, units_of

LONGEST_MOMENT_SECONDS = 3600.0
"""An unchanged scene begins a new moment after so long, so that retention and times stay as fine."""
_ROW_BYTES = 400
"""What a moment takes beside its tokens and its picture: rows, indexes, half a page."""


@dataclass(frozen=True)
class _Anchor:
    """The newest moment of a camera: what comes next is compared with its tokens, as units float32 [N, W]."""

    moment_id: int
    start_seconds: float
    end_seconds: float
    units: Tensor


class Archive(ArchiveReader):
    """Moments in `folder`/archive.db, within `retention`; `kinds` says of cameras what opens them.

    Raises:
        ArchiveError and its kinds, here and in every method.
    """

    def __init__(
        self,
        folder: Path,
        *,
        encoder: EncoderKind,
        retention: Retention | None = None,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.retention, self._kinds = retention or Retention(), dict(kinds or {})
        self._path, self._encoder = folder / FILE_NAME, encoder
        self._anchors: dict[str, _Anchor] = {}
        with ExitStack() as opened:
            self._file = opened.enter_context(ArchiveFile(folder))
            self._connection = self._file.connection
            self._encoder_id = self._known_encoder()
            opened.pop_all()

    @property
    def used_bytes(self) -> int:
        """Of the file, without the log beside it."""
        with told(self.path):
            return used_bytes(self._file.connection)

    def close(self) -> None:
        self._file.close()

    def add(self, camera: str, moments: Sequence[Moment], *, now_seconds: float) -> list[int]:
        """Writes all of them or none, in order; returns the id of the row that each is in.

        Where nothing has changed since the moment before, that one becomes longer instead.
        """
        ids: list[int] = []
        anchor = self._anchors.get(camera)
        with self._file.transaction():
            camera_id = self._known_camera(camera)
            if anchor is None and moments and self._has_moments(camera_id):  # of an earlier run
                moments = [replace(moments[0], gap_before=True), *moments[1:]]
            for moment in moments:
                units = units_of(torch.from_numpy(moment.tokens.restored()))
                if anchor is not None and _shows_the_same(anchor, moment, units) and self._extend(anchor, moment):
                    anchor = replace(anchor, end_seconds=moment.end_seconds)
                else:
                    moment_id = self._insert(camera_id, moment, now_seconds)
                    anchor = _Anchor(moment_id, moment.start_seconds, moment.end_seconds, units)
                ids.append(anchor.moment_id)
        if anchor is not None:
            self._anchors[camera] = anchor
        with told(self.path):
            give_back(self._file.connection)
        return ids

    def set_note(self, moment_id: int, note: str) -> None:
        """Gives a moment its note, where it has none yet; one that is no more goes without."""
        with self._file.transaction() as connection:
            connection.execute(
                "UPDATE moments SET note = ? WHERE id = ? AND note = ''", (cut_note(note).decode("utf-8"), moment_id)
            )

    def _known_encoder(self) -> int:
        row = (self._encoder.identity, self._encoder.num_tokens, self._encoder.width)
        with self._file.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO encoders (identity, num_tokens, width) VALUES (?, ?, ?)", row)
            found = connection.execute(
                "SELECT id FROM encoders WHERE (identity, num_tokens, width) = (?, ?, ?)", row
            ).fetchone()
        return int(found[0])

    def _known_camera(self, name: str) -> int:
        connection = self._file.connection
        connection.execute(
            "INSERT INTO cameras (name, kind) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET kind = excluded.kind WHERE kind <> excluded.kind AND excluded.kind <> ''",
            (name, self._kinds.get(name, "")),
        )
        (camera_id,) = connection.execute("SELECT id FROM cameras WHERE name = ?", (name,)).fetchone()
        connection.execute("INSERT OR IGNORE INTO sizes (camera_id) VALUES (?)", (camera_id,))
        return int(camera_id)

    def _has_moments(self, camera_id: int) -> bool:
        found = self._file.connection.execute("SELECT 1 FROM moments WHERE camera_id = ? LIMIT 1", (camera_id,))
        return found.fetchone() is not None

    def _extend(self, anchor: _Anchor, moment: Moment) -> bool:
        """False where the row is no more."""
        done = self._file.connection.execute(
            "UPDATE moments SET end_seconds = ?, weight = weight + ? WHERE id = ?",
            (moment.end_seconds, moment.weight, anchor.moment_id),
        )
        return done.rowcount > 0

    def _insert(self, camera_id: int, moment: Moment, now_seconds: float) -> int:
        tokens, connection = moment.tokens, self._file.connection
        if tokens.shape != (self._encoder.num_tokens, self._encoder.width):
            raise ValueError(f"expected tokens of {self._encoder}, received {tokens}")
        coming = Coming(camera_id, tokens.nbytes, tokens.nbytes + len(moment.picture) + _ROW_BYTES)
        make_room(connection, self.retention, coming, now_seconds=now_seconds)
        moment_id = connection.execute(
            "INSERT INTO moments (camera_id, start_seconds, end_seconds, weight, gap_before) VALUES (?, ?, ?, ?, ?)",
            (camera_id, moment.start_seconds, moment.end_seconds, moment.weight, moment.gap_before),
        ).lastrowid
        connection.execute(
            "INSERT INTO tokens (moment_id, encoder_id, scales, levels) VALUES (?, ?, ?, ?)",
            (moment_id, self._encoder_id, tokens.scales.tobytes(), tokens.levels.tobytes()),
        )
        if moment.picture:
            connection.execute("INSERT INTO pictures (moment_id, jpeg) VALUES (?, ?)", (moment_id, moment.picture))
        return int(moment_id or 0)


def _shows_the_same(anchor: _Anchor, moment: Moment, units: Tensor) -> bool:
    if moment.gap_before or moment.end_seconds - anchor.start_seconds > LONGEST_MOMENT_SECONDS:
        return False
    if moment.start_seconds < anchor.end_seconds:  # a clock that was set back
        return False
    return is_unchanged(anchor.units, units)
