"""Long lists in batches, so that no command to Redis becomes so long that it delays others."""

from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterable[list[T]]:
    """The items in lists of `size`, in order; the last one may be shorter. (`itertools.batched` of Python 3.12.)"""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
