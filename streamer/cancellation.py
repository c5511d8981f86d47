"""A cancellation that was swallowed on its way.

Python 3.11's `asyncio.wait_for` does so where what it waits for is done at the same moment, and libraries use it.
"""

import asyncio


def heed_cancellation() -> None:
    """Ends the running task where it was told to end. Raises: asyncio.CancelledError.

    Not for a task one of whose task groups has failed and was caught: 3.11 counts that as a cancellation too.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
