"""Answers of bounded size: as much of a list as fits into one frame that every client takes and no outbox rejects."""

from collections.abc import Callable, Sequence
from typing import TypeVar

ANSWER_MAX_BYTES = 1_048_576
"""Bytes of an answer, even if OUTBOX_MAX_BYTES is more: common client libraries take no larger frame by default."""
_ENVELOPE_BYTES = 1024
"""For what an answer holds besides its list: `type`, an `id` of 128 characters, a position, counts."""

_Item = TypeVar("_Item")


def page_bytes(outbox_max_bytes: int) -> int:
    """Return the bytes that the list in an answer may have."""
    return min(outbox_max_bytes, ANSWER_MAX_BYTES) - _ENVELOPE_BYTES


def fit(
    items: Sequence[_Item], size_of: Callable[[_Item], int], max_bytes: int, *, last: bool = False
) -> tuple[Sequence[_Item], bool]:
    """Return the first items that fit, or the `last` ones, in their order; and whether any was left out.

    One is always returned, so that whoever asks on gets further.
    """
    used = 0
    for count, item in enumerate(reversed(items) if last else items):
        used += size_of(item)
        if count and used > max_bytes:
            return items[len(items) - count :] if last else items[:count], True
    return items, False
