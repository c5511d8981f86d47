"""Reading processes: killed and reaped, and never more than two that do not end."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from streamer.children import MAX_UNREAPED, Children, TooManyError

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


class DiesLate(subprocess.Popen[bytes]):
    """A real process whose death is not told before `is_told`."""

    is_told = False

    def poll(self) -> int | None:
        return super().poll() if self.is_told else None

    def wait(self, timeout: float | None = None) -> int:
        if not self.is_told:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return super().wait(timeout)


@pytest.fixture
def late() -> Iterator[list[DiesLate]]:
    processes = [DiesLate(SLEEPS, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(MAX_UNREAPED)]
    yield processes
    for process in processes:
        process.is_told = True
        process.kill()
        process.wait(10)


def test_what_is_ended_is_reaped_and_its_pipes_are_closed() -> None:
    children = Children()
    child = children.start(SLEEPS, environment=os.environ)

    children.end(child)

    assert child.returncode == -9
    assert child.stdin is not None
    assert child.stdin.closed
    assert children.num_unreaped == 0


def test_two_that_do_not_end_keep_a_third_from_starting(late: list[DiesLate]) -> None:
    children = Children()
    for child in late:
        children.end(child)
    assert children.num_unreaped == MAX_UNREAPED
    with pytest.raises(TooManyError):
        children.start(SLEEPS, environment=os.environ)

    for child in late:
        child.is_told = True
        child.wait(10)

    children.end(children.start(SLEEPS, environment=os.environ))
    assert children.num_unreaped == 0
