"""Children: starts, kills and reaps one camera's reading processes; knows not what they read.

Bound: two processes that not even SIGKILL has ended yet. While there are so many, no other is started.
"""

import subprocess
import threading
from collections.abc import Mapping, Sequence

__all__ = ["MAX_UNREAPED", "Children", "TooManyError"]

MAX_UNREAPED = 2
_REAP_SECONDS = 5.0  # a busy machine takes its time even over SIGKILL; the thread that waits does nothing else


class TooManyError(Exception):
    """Two processes were killed and do not end: no third is started."""


class Children:
    """From any thread: while one thread ends its process, its successor may start another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unreaped: list[subprocess.Popen[bytes]] = []

    @property
    def num_unreaped(self) -> int:
        """Processes that were killed and have not ended yet."""
        with self._lock:
            self._unreaped = [child for child in self._unreaped if child.poll() is None]
            return len(self._unreaped)

    def start(self, command: Sequence[str], *, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """A process with pipes to and from it, in a session of its own: Ctrl-C is for us.

        Raises: TooManyError; OSError where the machine starts no more.
        """
        if self.num_unreaped >= MAX_UNREAPED:
            raise TooManyError
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )

    def end(self, child: subprocess.Popen[bytes]) -> None:
        """Kills it, closes the pipes and reaps it; where that takes longer than 5 s, later."""
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        try:
            child.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            with self._lock:
                self._unreaped.append(child)
