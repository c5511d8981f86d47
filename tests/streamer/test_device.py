"""The one thread that owns the device."""

import asyncio
import threading

import pytest

from streamer.device import MAX_WAITING, DeviceThread, Priority


async def _blocked(device: DeviceThread) -> tuple[threading.Event, asyncio.Task]:
    """The device thread busy until the event is set."""
    go, busy = threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        go.wait(5)

    task = asyncio.ensure_future(device.run(Priority.ENCODE, block))
    await asyncio.to_thread(busy.wait, 5)
    return go, task


async def test_jobs_that_wait_run_by_priority_then_in_order():
    ran = []
    async with DeviceThread() as device:
        go, blocked = await _blocked(device)
        wanted = [
            Priority.NOTE,
            Priority.ANSWER,
            Priority.ENCODE,
            Priority.ANSWER,
            Priority.FREEZE,
            Priority.CONSOLIDATE,
        ]
        jobs = [
            asyncio.ensure_future(device.run(priority, lambda job=(priority, number): ran.append(job)))
            for number, priority in enumerate(wanted)
        ]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(blocked, *jobs)
    assert ran == sorted((priority, number) for number, priority in enumerate(wanted))


async def test_all_jobs_run_on_one_thread_that_is_not_the_loops():
    async with DeviceThread() as device:
        names = {await device.run(Priority.ENCODE, lambda: threading.current_thread().name) for _ in range(5)}
    assert names == {"device"}


async def test_an_exception_belongs_to_the_one_who_awaits_and_the_thread_goes_on():
    async with DeviceThread() as device:
        with pytest.raises(ZeroDivisionError):
            await device.run(Priority.ENCODE, lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await device.run(Priority.ENCODE, lambda: next(iter(())))
        assert await device.run(Priority.ENCODE, lambda: 5) == 5


async def test_a_job_whose_caller_went_away_is_skipped():
    ran = []
    async with DeviceThread() as device:
        go, blocked = await _blocked(device)
        unwanted = asyncio.ensure_future(device.run(Priority.ENCODE, lambda: ran.append("unwanted")))
        await asyncio.sleep(0)
        unwanted.cancel()
        go.set()
        await blocked
        await device.run(Priority.NOTE, lambda: ran.append("last"))
    assert ran == ["last"]


async def test_more_jobs_than_may_wait_fail():
    async with DeviceThread() as device:
        go, blocked = await _blocked(device)
        jobs = [asyncio.ensure_future(device.run(Priority.NOTE, lambda: None)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="jobs wait"):
            await device.run(Priority.ENCODE, lambda: None)
        go.set()
        await asyncio.gather(blocked, *jobs)


async def test_leaving_finishes_the_running_job_and_cancels_the_waiting_ones():
    async with DeviceThread() as device:
        go, blocked = await _blocked(device)
        waiting = asyncio.ensure_future(device.run(Priority.NOTE, lambda: None))
        await asyncio.sleep(0)
        threading.Timer(0.2, go.set).start()
    await blocked
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(RuntimeError, match="closed"):
        await device.run(Priority.ENCODE, lambda: None)
    assert "device" not in {thread.name for thread in threading.enumerate()}
