"""What goes from the archive, and when: nothing is kept longer or larger than was asked for. It knows no clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

WAL_BYTES = 16 * 1024 * 1024
"""What SQLite's write-ahead log beside the file is cut back to; it counts to what is kept."""
LEAST_BYTES = 4 * WAL_BYTES
_DAY_SECONDS = 86_400.0
_TOKENS_SHARE = 0.5
"""Of the bytes; tokens can be made anew from their picture, a picture cannot."""
_NOTED_AGES_SLOWER = 2.0
"""A moment whose note tells something new stays so much longer than one without."""
_MOST_AT_ONCE, _BYTES_EACH = 256, 100_000
"""So many rows go at once, as if each had so many bytes; then it is looked at again."""
_PAGES_GIVEN_BACK = 256


@dataclass(frozen=True)
class Retention:
    """At most so old and, of all cameras together, so large; `per_camera_bytes` of any one.

    camera_seconds  of cameras that are kept for another time than the rest, by name

    Raises: ValueError where a limit is not positive, or `keep_bytes` is below `LEAST_BYTES`.
    """

    keep_seconds: float = 30 * _DAY_SECONDS
    keep_bytes: int = 20_000_000_000
    per_camera_bytes: int | None = None
    camera_seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limits = (self.keep_seconds, self.keep_bytes, self.per_camera_bytes or 1, *self.camera_seconds.values())
        if min(limits) <= 0:
            raise ValueError(f"expected limits above 0, received {limits}")
        if self.keep_bytes < LEAST_BYTES:
            raise ValueError(f"expected keep_bytes of at least {LEAST_BYTES}, received {self.keep_bytes}")


@dataclass(frozen=True)
class Coming:
    """What is about to be written: of which camera, how many bytes of tokens, how many in all."""

    camera_id: int
    token_bytes: int
    num_bytes: int


def make_room(connection: sqlite3.Connection, retention: Retention, coming: Coming, *, now_seconds: float) -> None:
    """Within a transaction, before something is written: after it, there is room for that and for the log.

    First goes what is too old; then tokens, where they take more than half; then whole moments, the oldest first, those
    without a note as if they were twice as old.
    """
    for camera_id, name in connection.execute("SELECT id, name FROM cameras").fetchall():
        before_seconds = now_seconds - retention.camera_seconds.get(name, retention.keep_seconds)
        connection.execute(
            "DELETE FROM moments WHERE camera_id = ? AND (note <> '') IN (0, 1) AND end_seconds < ?",
            (camera_id, before_seconds),
        )
    while (over := _token_bytes(connection) + coming.token_bytes - _TOKENS_SHARE * retention.keep_bytes) > 0:
        if not _let_tokens_go(connection, _at_once(over)):
            break
    while (over := used_bytes(connection) + coming.num_bytes + WAL_BYTES - retention.keep_bytes) > 0:
        if not _let_moments_go(connection, _at_once(over), now_seconds):
            break
    if retention.per_camera_bytes is None:
        return
    while (over := _bytes_of(connection, coming.camera_id) + coming.num_bytes - retention.per_camera_bytes) > 0:
        if not _let_moments_go(connection, _at_once(over), now_seconds, camera_id=coming.camera_id):
            break


def _at_once(over_bytes: float) -> int:
    return min(_MOST_AT_ONCE, 1 + int(over_bytes / _BYTES_EACH))


def give_back(connection: sqlite3.Connection) -> None:
    """Outside of a transaction: what was let go leaves the file too, a part at a time."""
    connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_GIVEN_BACK})")  # `execute` gives back a single page


def used_bytes(connection: sqlite3.Connection) -> int:
    """Of the file, without pages that are free."""
    page, pages, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    return int(page * (pages - free))


def _token_bytes(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(sum(token_bytes), 0) FROM sizes").fetchone()[0])


def _bytes_of(connection: sqlite3.Connection, camera_id: int) -> int:
    found = connection.execute(
        "SELECT token_bytes + picture_bytes FROM sizes WHERE camera_id = ?", (camera_id,)
    ).fetchone()
    return 0 if found is None else int(found[0])


def _let_tokens_go(connection: sqlite3.Connection, count: int) -> bool:
    """Of the oldest moments that have some; False where none has."""
    return bool(
        connection.execute(
            "DELETE FROM tokens WHERE moment_id IN (SELECT moment_id FROM tokens ORDER BY moment_id LIMIT ?)",
            (count,),
        ).rowcount
    )


def _let_moments_go(
    connection: sqlite3.Connection, count: int, now_seconds: float, *, camera_id: int | None = None
) -> bool:
    """Some of those that are worth least; False where there are none."""
    of_camera, of = ("", ()) if camera_id is None else ("camera_id = ? AND ", (camera_id,))
    ages: dict[int, float] = {}
    for noted in (0, 1):
        found = connection.execute(
            f"SELECT min(end_seconds) FROM moments WHERE {of_camera}(note <> '') = ?", (*of, noted)
        ).fetchone()[0]
        if found is not None:
            ages[noted] = (now_seconds - found) / (_NOTED_AGES_SLOWER if noted else 1.0)
    if not ages:
        return False
    noted = max(ages, key=lambda each: ages[each])
    connection.execute(
        f"DELETE FROM moments WHERE id IN (SELECT id FROM moments WHERE {of_camera}(note <> '') = ? "
        "ORDER BY end_seconds LIMIT ?)",
        (*of, noted, count),
    )
    return True
