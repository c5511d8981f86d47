"""What can go wrong with the archive, one line a person can act on.

ArchiveError               it cannot be read or written now: disk full, read-only, in use by another agent
├── NewerArchiveError      a newer version wrote it; it is left as it is
└── DamagedArchiveError    what is in it cannot be read
"""

__all__ = ["ArchiveError", "DamagedArchiveError", "NewerArchiveError"]


class ArchiveError(Exception):
    """`str(error)` is one line: what, where, what to do."""


class NewerArchiveError(ArchiveError):
    """Written by a version that knows more than this one."""


class DamagedArchiveError(ArchiveError):
    """No archive, or one that is broken."""
