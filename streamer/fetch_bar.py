"""The bar that a person sees while a checkpoint is fetched; it knows no hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.status import Status

__all__ = ["fetch_bar"]


def fetch_bar(
    console: Console, status: Status | None = None
) -> Callable[[str, int, int], AbstractContextManager[Callable[[int], object]]]:
    """A bar on `console`, in place of `status` while it is there; nothing where `console` is no terminal."""

    @contextmanager
    def bar(name: str, total_bytes: int, here_bytes: int) -> Iterator[Callable[[int], object]]:
        if not console.is_terminal:
            yield lambda _num_bytes: None
            return
        if status is not None:
            status.stop()
        shown = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        with shown:
            task = shown.add_task(name, total=total_bytes, completed=here_bytes)
            yield lambda num_bytes: shown.advance(task, num_bytes)
        if status is not None:
            status.start()

    return bar
