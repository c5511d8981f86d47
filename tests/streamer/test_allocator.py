"""All threads of a process share one heap, where glibc is the C library."""

import platform
import subprocess
import sys

import pytest

ALLOCATE_IN_THREADS = """
import ctypes, threading
from streamer.allocator import share_one_heap
done = share_one_heap()
def allocate():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    blocks.append(libc.malloc(1000))
blocks = []
for _ in range(8):
    thread = threading.Thread(target=allocate)
    thread.start()
    thread.join()
heap = next(line for line in open("/proc/self/maps") if line.rstrip().endswith("[heap]"))
first, last = (int(end, 16) for end in heap.split()[0].split("-"))
print(done, sum(first <= block < last for block in blocks))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has a heap for each thread")
@pytest.mark.parametrize(("environment", "printed"), [({}, "True 8"), ({"MALLOC_ARENA_MAX": "4"}, "False ")])
def test_threads_share_one_heap_unless_a_person_says_otherwise(environment: dict[str, str], printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATE_IN_THREADS], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.startswith(printed)
