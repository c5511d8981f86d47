"""The archive's file: opened for one writer, brought to this version's tables, set aside where it is damaged.

It knows tables, but not what moments mean.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from memory.errors import ArchiveError, DamagedArchiveError, NewerArchiveError
from memory.retention import WAL_BYTES

FILE_NAME = "archive.db"
APPLICATION_ID = 0x4C574152
"""Written into the file: "LWAR". A database that has another one is not touched."""
_BUSY_SECONDS = 5.0
_MIGRATIONS = (
    """
    CREATE TABLE cameras (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE encoders (
        id INTEGER PRIMARY KEY, identity TEXT NOT NULL, num_tokens INTEGER NOT NULL, width INTEGER NOT NULL,
        UNIQUE (identity, num_tokens, width)
    );
    CREATE TABLE moments (
        id INTEGER PRIMARY KEY, camera_id INTEGER NOT NULL REFERENCES cameras, start_seconds REAL NOT NULL,
        end_seconds REAL NOT NULL, weight INTEGER NOT NULL, gap_before INTEGER NOT NULL, note TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX moments_by_start ON moments (camera_id, start_seconds);
    CREATE INDEX moments_by_worth ON moments (note <> '', end_seconds);
    CREATE INDEX moments_by_camera_and_worth ON moments (camera_id, note <> '', end_seconds);
    CREATE TABLE tokens (
        moment_id INTEGER PRIMARY KEY REFERENCES moments, encoder_id INTEGER NOT NULL
        REFERENCES encoders, scales BLOB NOT NULL, levels BLOB NOT NULL
    );
    CREATE TABLE pictures (moment_id INTEGER PRIMARY KEY REFERENCES moments, jpeg BLOB NOT NULL);
    CREATE TABLE sizes (camera_id INTEGER PRIMARY KEY REFERENCES cameras, token_bytes INTEGER NOT NULL DEFAULT 0,
        picture_bytes INTEGER NOT NULL DEFAULT 0);
    CREATE TRIGGER tokens_come AFTER INSERT ON tokens BEGIN
        UPDATE sizes SET token_bytes = token_bytes + length(new.levels) + length(new.scales)
        WHERE camera_id = (SELECT camera_id FROM moments WHERE id = new.moment_id);
    END;
    CREATE TRIGGER tokens_go BEFORE DELETE ON tokens BEGIN
        UPDATE sizes SET token_bytes = token_bytes - length(old.levels) - length(old.scales)
        WHERE camera_id = (SELECT camera_id FROM moments WHERE id = old.moment_id);
    END;
    CREATE TRIGGER pictures_come AFTER INSERT ON pictures BEGIN
        UPDATE sizes SET picture_bytes = picture_bytes + length(new.jpeg)
        WHERE camera_id = (SELECT camera_id FROM moments WHERE id = new.moment_id);
    END;
    CREATE TRIGGER pictures_go BEFORE DELETE ON pictures BEGIN
        UPDATE sizes SET picture_bytes = picture_bytes - length(old.jpeg)
        WHERE camera_id = (SELECT camera_id FROM moments WHERE id = old.moment_id);
    END;
    CREATE TRIGGER moments_go BEFORE DELETE ON moments BEGIN
        DELETE FROM tokens WHERE moment_id = old.id;
        DELETE FROM pictures WHERE moment_id = old.id;
    END;
    CREATE VIRTUAL TABLE notes USING fts5 (note, content = 'moments', content_rowid = 'id');
    CREATE TRIGGER notes_go AFTER DELETE ON moments WHEN old.note <> '' BEGIN
        INSERT INTO notes (notes, rowid, note) VALUES ('delete', old.id, old.note);
    END;
    CREATE TRIGGER notes_change AFTER UPDATE OF note ON moments BEGIN
        INSERT INTO notes (notes, rowid, note) SELECT 'delete', old.id, old.note WHERE old.note <> '';
        INSERT INTO notes (rowid, note) SELECT new.id, new.note WHERE new.note <> '';
    END;
    """,
    """
    ALTER TABLE cameras ADD COLUMN kind TEXT NOT NULL DEFAULT '';
    """,
)
"""Number k brings a file of version k to version k + 1."""


class ArchiveFile:
    """`folder`/archive.db, made where it is not there; one process may write to it.

    Raises:
        ArchiveError: it cannot be opened or made, or another agent has it.
        NewerArchiveError: a newer version wrote it.
        DamagedArchiveError: it is no database; see `set_aside`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        with ExitStack() as opened:
            self._lock = _locked(folder)
            opened.callback(os.close, self._lock)
            self.connection = self._open()
            opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """What is written stays; the log is brought into the file."""
        self.connection.close()
        os.close(self._lock)

    @property
    def is_gone(self) -> bool:
        """True where the file was deleted or replaced: what is written from then on is lost."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return True
        return (found.st_dev, found.st_ino) != self._inode

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. Raises: ArchiveError, DamagedArchiveError."""
        with told(self.path):
            if self.is_gone:
                raise ArchiveError(f"the archive {self.path} was deleted or replaced while it was in use")
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    def _open(self) -> sqlite3.Connection:
        with told(self.path):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            with ExitStack() as opened:
                connection = opened.enter_context(closing(_connect(str(self.path))))
                self._migrate(connection)
                opened.pop_all()
            found = self.path.stat()
            self._inode = (found.st_dev, found.st_ino)
            return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version, has_tables = _check_version(connection, self.path)
        if not has_tables:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before there are tables
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # no transaction is lost by kill -9, few by a power cut
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        connection.execute("PRAGMA foreign_keys = ON")
        for number in range(version, len(_MIGRATIONS)):
            connection.executescript(
                f"BEGIN IMMEDIATE; {_MIGRATIONS[number]} PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {number + 1}; COMMIT;"
            )


def open_to_read(folder: Path) -> sqlite3.Connection:
    """A connection that can write nothing, beside the agent that may be writing. Raises: ArchiveError and its kinds."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise ArchiveError(f"there is no archive in {folder}; give the archive.path of an agent")
    with told(path), ExitStack() as opened:
        connection = opened.enter_context(closing(_connect(f"{path.absolute().as_uri()}?mode=ro")))
        version, _ = _check_version(connection, path)
        if version < len(_MIGRATIONS):
            raise ArchiveError(
                f"the archive {path} is of an older Longwatch (version {version}); start its agent once, which brings "
                "it up to date"
            )
        opened.pop_all()
        return connection


def _connect(name: str) -> sqlite3.Connection:
    """Transactions are ours to begin; the threads that use it take turns."""
    return sqlite3.connect(
        name, uri=name.startswith("file:"), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _check_version(connection: sqlite3.Connection, path: Path) -> tuple[int, bool]:
    """(version, whether there are tables yet). Raises: ArchiveError, NewerArchiveError."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (num_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if num_tables and owner != APPLICATION_ID:
        raise ArchiveError(f"{path} is a database of another program; give another archive.path")
    if version > len(_MIGRATIONS):
        raise NewerArchiveError(
            f"the archive {path} was written by a newer Longwatch (version {version}, this one knows "
            f"{len(_MIGRATIONS)}); update Longwatch, or give another archive.path"
        )
    return version, num_tables > 0


def set_aside(folder: Path) -> Path:
    """A damaged file goes out of the way, with its log; returns what it is called now. Raises: ArchiveError."""
    path = folder / FILE_NAME
    aside = path.with_name(f"{FILE_NAME}.damaged-{datetime.now():%Y%m%d-%H%M%S}")
    with told(path):
        for ending in ("", "-wal", "-shm"):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(aside.with_name(aside.name + ending))
    return aside


@contextmanager
def told(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors, as what a person can act on."""
    try:
        yield
    except sqlite3.OperationalError as error:
        said = str(error)
        todo = "free some space on its disk" if "full" in said else "see that its folder can be written to"
        raise ArchiveError(f"the archive {path} cannot be written ({said}); {todo}") from error
    except sqlite3.DatabaseError as error:
        raise DamagedArchiveError(f"the archive {path} is damaged ({error})") from error
    except OSError as error:
        raise ArchiveError(
            f"the archive {path} cannot be opened ({error.strerror}); see that its folder can be written to"
        ) from error


def _locked(folder: Path) -> int:
    """A descriptor that holds the lock until it is closed or its process ends. Raises: ArchiveError."""
    with told(folder / FILE_NAME):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ArchiveError(
            f"another Longwatch writes to the archive in {folder}; give each one an archive.path of its own"
        ) from error
    return lock
