"""What this process frees goes back to the system: its memory is that of now, and not that of its worst moment."""

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
TRIM_BYTES = 131_072
"""Free bytes at the end of the heap from which on they are given back."""
BLOCK_BYTES = 262_144
"""Blocks from this size on are not in the heap, and are given back by themselves."""


def return_freed_memory() -> None:
    """Keep glibc from raising these bounds by itself: with the first large block that is freed, up to 32 and 64 MiB.

    Other C libraries are left as they are.
    """
    with suppress(AttributeError):  # the library has no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, TRIM_BYTES)
        mallopt(_M_MMAP_THRESHOLD, BLOCK_BYTES)
