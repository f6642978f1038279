"""Long lists in batches, so that nothing that is sent to Redis becomes so long that it delays others."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterable[list[T]]:
    """The items in lists of `size`, in order; the last one may be shorter. (`itertools.batched` of Python 3.12.)"""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def batched_by_size(items: Iterable[T], size_of: Callable[[T], int], max_size: int) -> Iterable[list[T]]:
    """The items in lists of `max_size` together, in order; an item that is larger is a list of its own."""
    batch: list[T] = []
    total = 0
    for item in items:
        size = size_of(item)
        if batch and total + size > max_size:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch
