"""Memory that was freed, in a process of its own: how an allocator behaves depends on all that went before."""

import platform
import subprocess
import sys

import pytest

BLOCKS, BLOCK = 64, 1_000_000
FREE_BLOCKS = f"""
import os
from tannoy.node.lifecycle.allocator import return_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

return_freed_memory()
del (large := [bytes(20 * {BLOCK})])[:]  # by itself glibc keeps blocks up to this size in the heap from now on
before = resident()
blocks = [b"x" * {BLOCK} for _ in range({BLOCKS})]
last = b"x" * 100_000  # behind all of them
blocks.clear()
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_large_blocks_that_were_freed_are_given_back() -> None:
    run = subprocess.run([sys.executable, "-c", FREE_BLOCKS], capture_output=True, text=True, check=True)

    assert int(run.stdout) < 2 * BLOCK
