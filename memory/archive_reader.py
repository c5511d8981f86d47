"""What the archive gives back, beside an agent that may be writing to it. It writes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from memory.archive_file import FILE_NAME, open_to_read, told
from memory.moment import KeptMoment
from memory.quantised import QuantisedTokens


@dataclass(frozen=True)
class EncoderKind:
    """Whose tokens: moments of another encoder stay, but their tokens cannot be read."""

    identity: str
    num_tokens: int
    width: int


class ArchiveReader:
    """What is kept in `folder`/archive.db, read beside the agent that may be writing to it.

    Raises:
        ArchiveError and its kinds, here and in every method.
    """

    def __init__(self, folder: Path, *, encoder: EncoderKind) -> None:
        self._path, self._encoder = folder / FILE_NAME, encoder
        self._connection = open_to_read(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path})"

    @property
    def path(self) -> Path:
        return self._path

    def close(self) -> None:
        self._connection.close()

    def cameras(self) -> dict[str, tuple[float, float]]:
        """Of each camera that has moments: from when to when, in seconds."""
        with told(self.path):
            return {
                name: (first, last)
                for name, first, last in self._connection.execute(
                    "SELECT name, min(start_seconds), max(end_seconds) FROM cameras "
                    "JOIN moments ON camera_id = cameras.id GROUP BY name ORDER BY name"
                )
            }

    def newest(
        self, camera: str, *, most: int, until_seconds: float, since_seconds: float = -math.inf
    ) -> Iterator[KeptMoment]:
        """Of the moments that had begun by then, and ended since then, the newest `most`, oldest first."""
        kind = self._encoder
        with told(self.path):
            rows = self._connection.execute(
                """
                SELECT m.*, t.scales, t.levels FROM (
                    SELECT m.id, m.start_seconds, m.end_seconds, m.weight, m.gap_before, m.note FROM moments m
                    WHERE m.camera_id = (SELECT id FROM cameras WHERE name = ?) AND m.start_seconds <= ?
                    AND m.end_seconds >= ?
                    ORDER BY m.start_seconds DESC, m.id DESC LIMIT ?
                ) m LEFT JOIN tokens t ON t.moment_id = m.id AND t.encoder_id = (
                    SELECT id FROM encoders WHERE (identity, num_tokens, width) = (?, ?, ?)
                ) ORDER BY m.start_seconds, m.id
                """,
                (camera, until_seconds, since_seconds, most, kind.identity, kind.num_tokens, kind.width),
            )
            for moment_id, start_seconds, end_seconds, weight, gap_before, note, scales, levels in rows:
                yield KeptMoment(
                    moment_id, start_seconds, end_seconds, weight, bool(gap_before), note, self._tokens(scales, levels)
                )

    def picture(self, moment_id: int) -> bytes:
        """Its JPEG; b"" where it has none or is no more."""
        with told(self.path):
            found = self._connection.execute("SELECT jpeg FROM pictures WHERE moment_id = ?", (moment_id,)).fetchone()
        return b"" if found is None else bytes(found[0])

    def _tokens(self, scales: bytes | None, levels: bytes | None) -> QuantisedTokens | None:
        if scales is None or levels is None:
            return None
        shape = self._encoder.num_tokens, self._encoder.width
        return QuantisedTokens(
            np.frombuffer(levels, np.int8).reshape(shape), np.frombuffer(scales, np.float32).reshape(shape[0])
        )
