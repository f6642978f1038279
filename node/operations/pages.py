"""Pages: answers of bounded size, and few of them read at once.

An answer holds as much of a list as fits into one frame that every client takes and no outbox rejects. Redis works on
all pages that it is asked for in one go, and what it answers is in memory here and there; so whoever asks waits for its
turn, in the order in which all have asked. A connection asks for one page at a time.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from ...shared.turns import Turns

ANSWER_MAX_BYTES = 1_048_576
"""Bytes of an answer, even if OUTBOX_MAX_BYTES is more: common client libraries take no larger frame by default."""
PAGES_AT_ONCE = 8
"""Pages of history, and recoveries, that are read at once by a node. Other lists weigh more."""
HTTP_ANSWERS_AT_ONCE = 4
"""Pages and lists that are read for HTTP, or wait to be read by their client, at once: each has ANSWER_MAX_BYTES at
most. Those who ask over a WebSocket connection have one each."""
ARCHIVE_READS_AT_ONCE = 4
"""Reads of the archive at once: a database that is slow keeps no read of Redis waiting."""
LIST_WEIGHT = 4
"""For how many pages a list of users or sessions counts: Redis takes as long for it."""
PAGE_WAIT_MAX = 2.0
"""Seconds that a read waits for its turn at most; then it is `unavailable`."""
LISTED_MAX = 2000
"""Users that are listed at most, so that Redis is not asked for more than fits."""
_ENVELOPE_BYTES = 1024
"""For what an answer holds besides its list: `type`, an `id` of 128 characters, a position, counts."""

_Item = TypeVar("_Item")


def page_turns(is_open: Callable[[], bool]) -> Turns:
    """The turns of all reads of pages of a node; `is_open`: Redis takes commands."""
    return Turns(PAGES_AT_ONCE, is_open=is_open, wait_max=PAGE_WAIT_MAX)


def archive_turns() -> Turns:
    """The turns of all reads of the archive."""
    return Turns(ARCHIVE_READS_AT_ONCE, is_open=lambda: True, wait_max=PAGE_WAIT_MAX)


def http_answer_turns(is_open: Callable[[], bool]) -> Turns:
    """The turns of all pages and lists over HTTP, from their question until the client has read nearly all of them."""
    return Turns(HTTP_ANSWERS_AT_ONCE, is_open=is_open, wait_max=PAGE_WAIT_MAX)


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
