"""What the archive gives back, beside an agent that may be writing to it. It writes nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from memory.archive_file import FILE_NAME, open_to_read, told
from memory.gaps import Gap
from memory.moment import Chosen, KeptMoment
from memory.note_words import words_to_match
from memory.quantised import QuantisedTokens

MATCHED_SHARE = 4
"""At most one in so many of the moments that are chosen is chosen for the words of its note."""
MOST_GAPS = 16
"""The longest of a span; each is told in the prompt, and a month of a camera on a bad line has hundreds."""
_TELLS_NOTHING = -0.1
"""A rank (FTS5's bm25, the lower the better) of what most notes say."""
_MOST_RANKED = 2048
"""Notes with a word of the question, the newest: what ten cameras' month tells of it takes no longer than one's day."""
_MOST_LISTED = 100_000
"""Of a span, the newest: months of a busy camera."""


@dataclass(frozen=True)
class EncoderKind:
    """Whose tokens: moments of another encoder stay, but their tokens cannot be read."""

    identity: str
    num_tokens: int
    width: int


class KeptCamera(NamedTuple):
    """From when to when a camera has moments, in seconds, and what opened it; "" where that was not told."""

    first_seconds: float
    last_seconds: float
    kind: str


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

    def cameras(self) -> dict[str, KeptCamera]:
        """Those that have moments, by name."""
        with told(self.path):
            return {
                name: KeptCamera(*found)
                for name, *found in self._connection.execute(
                    "SELECT name, min(start_seconds), max(end_seconds), kind FROM cameras "
                    "JOIN moments ON camera_id = cameras.id GROUP BY name ORDER BY name"
                )
            }

    def kind(self, camera: str) -> str:
        """What opened it; "" where that was not told, or there is no such camera."""
        with told(self.path):
            found = self._connection.execute("SELECT kind FROM cameras WHERE name = ?", (camera,)).fetchone()
        return "" if found is None else str(found[0])

    def newest(
        self, camera: str, *, most: int, until_seconds: float, since_seconds: float = -math.inf
    ) -> Iterator[KeptMoment]:
        """Of the moments that had begun by then, and ended since then, the newest `most`, oldest first."""
        with told(self.path):
            yield from self._read(
                """
                SELECT id AS value FROM moments
                WHERE camera_id = (SELECT id FROM cameras WHERE name = ?) AND start_seconds <= ? AND end_seconds >= ?
                ORDER BY start_seconds DESC, id DESC LIMIT ?
                """,
                (camera, until_seconds, since_seconds, most),
            )

    def choose(
        self, camera: str, question: str, *, until_seconds: float, most: int, since_seconds: float = -math.inf
    ) -> Chosen:
        """At most `most` of the moments that had begun by `until_seconds`, and ended since `since_seconds`.

        Without a beginning they are the newest, with one they are spread evenly over what there is. Those whose notes
        say what the question says come first, whenever they were. The same question about a time is given the same.
        """
        with told(self.path):
            matched = self._matching(camera, question, since_seconds, until_seconds, most // MATCHED_SHARE)
            num_others = most - len(matched)
            is_open = math.isinf(since_seconds)
            listed = self._listed(camera, since_seconds, until_seconds, num_others if is_open else _MOST_LISTED)
            spread = np.unique(np.linspace(0, len(listed) - 1, num=min(len(listed), num_others)).round().astype(int))
            chosen = {listed[int(place)][0] for place in spread} | set(matched)
            moments = tuple(self._read("SELECT value FROM json_each(?)", [json.dumps(sorted(chosen))]))
        gaps = (
            Gap(end_seconds, start_seconds)
            for (_, _, end_seconds, _), (_, start_seconds, _, gap_before) in pairwise(listed)
            if gap_before and end_seconds < start_seconds
        )
        longest = nlargest(MOST_GAPS, gaps, key=lambda gap: gap.end_seconds - gap.start_seconds)
        return Chosen(moments, tuple(sorted(longest)), tuple(matched))

    def picture(self, moment_id: int) -> bytes:
        """Its JPEG; b"" where it has none or is no more."""
        with told(self.path):
            found = self._connection.execute("SELECT jpeg FROM pictures WHERE moment_id = ?", (moment_id,)).fetchone()
        return b"" if found is None else bytes(found[0])

    def _listed(
        self, camera: str, since_seconds: float, until_seconds: float, most: int
    ) -> list[tuple[int, float, float, bool]]:
        """(id, start, end, gap before) of the newest `most`, oldest first."""
        rows = self._connection.execute(
            """
            SELECT id, start_seconds, end_seconds, gap_before FROM moments
            WHERE camera_id = (SELECT id FROM cameras WHERE name = ?) AND start_seconds <= ? AND end_seconds >= ?
            ORDER BY start_seconds DESC, id DESC LIMIT ?
            """,
            (camera, until_seconds, since_seconds, most),
        ).fetchall()
        return [(moment_id, start, end, bool(gap_before)) for moment_id, start, end, gap_before in reversed(rows)]

    def _matching(self, camera: str, question: str, since_seconds: float, until_seconds: float, most: int) -> list[int]:
        """Of the newest `_MOST_RANKED` notes with words of the question, the best first."""
        until = self._connection.execute(
            "SELECT id FROM moments WHERE camera_id = (SELECT id FROM cameras WHERE name = ?) AND start_seconds <= ? "
            "ORDER BY start_seconds DESC LIMIT 1",
            (camera, until_seconds),
        ).fetchone()
        if until is None:
            return []
        telling = [word for word in words_to_match(question) if not self._is_everywhere(word, until[0])]
        if not telling:
            return []
        rows = self._connection.execute(
            """
            SELECT m.id FROM (
                SELECT rowid, rank AS fit FROM notes WHERE notes MATCH ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?
            ) found JOIN moments m ON m.id = found.rowid
            WHERE m.camera_id = (SELECT id FROM cameras WHERE name = ?)
            AND m.start_seconds <= ? AND m.end_seconds >= ? AND fit < ?
            ORDER BY fit, m.start_seconds DESC LIMIT ?
            """,
            (
                " OR ".join(telling),
                until[0],
                _MOST_RANKED,
                camera,
                until_seconds,
                since_seconds,
                _TELLS_NOTHING,
                most,
            ),
        )
        return [int(moment_id) for (moment_id,) in rows]

    def _is_everywhere(self, word: str, until_id: int) -> bool:
        """Every other moment's note has it; `_TELLS_NOTHING` would find that too, but looks at all of them."""
        newest = self._connection.execute(
            "SELECT rowid FROM notes WHERE notes MATCH ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?",
            (word, until_id, _MOST_RANKED),
        ).fetchall()
        return len(newest) == _MOST_RANKED and newest[0][0] - newest[-1][0] < 2 * _MOST_RANKED

    def _read(self, wanted: str, values: Sequence[object]) -> Iterator[KeptMoment]:
        """The moments whose ids the query `wanted` gives as `value`, in the order of their beginnings."""
        kind = self._encoder
        rows = self._connection.execute(
            f"""
            SELECT m.id, m.start_seconds, m.end_seconds, m.weight, m.gap_before, m.note, t.scales, t.levels
            FROM ({wanted}) wanted CROSS JOIN moments m ON m.id = wanted.value
            LEFT JOIN tokens t ON t.moment_id = m.id AND t.encoder_id = (
                SELECT id FROM encoders WHERE (identity, num_tokens, width) = (?, ?, ?)
            ) ORDER BY m.start_seconds, m.id
            """,
            (*values, kind.identity, kind.num_tokens, kind.width),
        )
        for moment_id, start_seconds, end_seconds, weight, gap_before, note, scales, levels in rows:
            yield KeptMoment(
                moment_id, start_seconds, end_seconds, weight, bool(gap_before), note, self._tokens(scales, levels)
            )

    def _tokens(self, scales: bytes | None, levels: bytes | None) -> QuantisedTokens | None:
        if scales is None or levels is None:
            return None
        shape = self._encoder.num_tokens, self._encoder.width
        return QuantisedTokens(
            np.frombuffer(levels, np.int8).reshape(shape), np.frombuffer(scales, np.float32).reshape(shape[0])
        )
