"""The one thread that owns the device: one job at a time, the most urgent first; it knows not what they do."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from types import TracebackType
from typing import Any, Self, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_WAITING = 256
"""Jobs that may wait. Every caller awaits its job, so this bounds the callers; one more is a fault, refused."""

LEAVE_SECONDS = 1.0
"""How long leaving waits for the job that runs."""


class Priority(IntEnum):
    """Smaller is sooner. A job that runs is never interrupted: what may take long is cut into steps."""

    ENCODE = 0
    CONSOLIDATE = 1
    FREEZE = 2
    ANSWER = 3
    NOTE = 4


@dataclass(order=True)
class _Job:
    priority: Priority
    number: int
    work: Callable[[], Any] = field(compare=False)
    future: asyncio.Future[Any] = field(compare=False)


class DeviceThread:
    """`async with DeviceThread() as device: result = await device.run(Priority.ENCODE, work)`.

    A job whose caller was cancelled before it began is skipped. On leaving, the running job has a second to finish,
    those that wait are cancelled.
    """

    def __init__(self) -> None:
        self._jobs: list[_Job] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            waiting, self._jobs = self._jobs, []
            self._changed.notify()
        for job in waiting:
            job.future.cancel()
        await asyncio.to_thread(self._thread.join, LEAVE_SECONDS)
        if self._thread.is_alive():
            log.warning("the device is still in a step that takes long; left behind, it ends with the process")

    async def run(self, priority: Priority, work: Callable[[], T]) -> T:
        """Run `work` on the device thread; its result or its exception comes back.

        Raises: RuntimeError when the thread is closed or `MAX_WAITING` jobs wait.
        """
        if self._loop is None:
            raise RuntimeError("the device thread has not been started: use `async with`")
        future: asyncio.Future[T] = self._loop.create_future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the device thread is closed")
            if len(self._jobs) >= MAX_WAITING:
                raise RuntimeError(f"{MAX_WAITING} jobs wait for the device already")
            heapq.heappush(self._jobs, _Job(priority, next(self._numbers), work, future))
            self._changed.notify()
        return await future

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if job.future.cancelled():
                continue
            try:
                result = job.work()
            except Exception as error:  # noqa: BLE001 - whatever a job raises belongs to the one who awaits it
                self._tell(job.future, error=error)
            else:
                self._tell(job.future, result=result)
            del job

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            return None if self._closed else heapq.heappop(self._jobs)

    def _tell(self, future: asyncio.Future[Any], *, result: Any = None, error: Exception | None = None) -> None:
        def settle() -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)
            elif isinstance(error, StopIteration):  # a future refuses it
                future.set_exception(RuntimeError("a job raised StopIteration"))
            else:
                future.set_exception(error)

        if self._loop is None or self._loop.is_closed():
            return
        try:
            self._loop.call_soon_threadsafe(settle)
        except RuntimeError:
            log.debug("the event loop closed before a job's result reached it")
