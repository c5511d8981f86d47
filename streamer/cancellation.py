"""A cancellation that was swallowed on its way.

Python 3.11's `asyncio.wait_for` does so where what it waits for is done at the same moment, and libraries use it.
"""

import asyncio


def num_cancellations() -> int:
    """How often the running task was told to end; of 3.11's task groups some that were none stay counted."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def heed_cancellation(num_before: int = 0) -> None:
    """Ends the running task where it was told to end since then. Raises: asyncio.CancelledError."""
    if num_cancellations() > num_before:
        raise asyncio.CancelledError
