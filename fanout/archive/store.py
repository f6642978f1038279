"""What is written to the archive, read from it and deleted in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from sqlalchemy import Insert, Select, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from .database import Database, Work
from .tables import MESSAGES

PRUNED_AT_ONCE = 2_000
"""Messages that one transaction deletes: the writer gets in between."""

_C = MESSAGES.c


@dataclass(frozen=True, slots=True)
class ArchivedMessage:
    """A row of the archive."""

    channel: str
    """`room:NAME` or `agent:ID`."""
    offset: int
    epoch: str
    sent_at: int
    """Milliseconds since 1970."""
    user_id: str | None
    message: str
    """The frame, JSON."""


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """Messages of one channel in ascending order of their offsets."""

    messages: tuple[ArchivedMessage, ...]
    is_cut: bool
    """There are more within what was asked for: left out because of `limit` or of their bytes."""


class ArchiveStore:
    """Every method raises DatabaseFailed, and CircuitOpen; `write` raises RowsRefused too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, messages: Sequence[ArchivedMessage]) -> None:
        """Write all of them or none. Those that stand there already stay as they are."""
        rows = [
            {
                "channel": each.channel,
                "message_offset": each.offset,
                "epoch": each.epoch,
                "sent_at": each.sent_at,
                "user_id": each.user_id,
                "size": len(each.message.encode()),
                "message": each.message,
            }
            for each in messages
        ]
        async with self._database.transaction(Work.WRITE) as connection:
            await connection.execute(self._insert(), rows)

    def _insert(self) -> Insert:
        if self._database.is_sqlite:
            return sqlite.insert(MESSAGES).on_conflict_do_nothing()
        return postgresql.insert(MESSAGES).on_conflict_do_nothing()

    async def read(
        self, channel: str, lowest: int, highest: int, limit: int, max_bytes: int, *, last: bool
    ) -> ArchivePage:
        """The messages whose offsets lie between `lowest` and `highest`, both inclusive.

        Of them the first `limit`, or the `last` ones; at most `max_bytes` of them, but at least one.
        """
        order = (_C.message_offset.desc(), _C.epoch.desc()) if last else (_C.message_offset, _C.epoch)
        within = _C.message_offset.between(lowest, highest)
        sizes = select(_C.message_offset, _C.size).where(_C.channel == channel, within).order_by(*order)
        async with self._database.transaction(Work.READ) as connection:
            found = (await connection.execute(sizes.limit(limit + 1))).all()
            count = count_fitting([size for _, size in found[:limit]], max_bytes)
            if not count:
                return ArchivePage((), is_cut=False)
            rows = (await connection.execute(_messages(channel, found[0][0], found[count - 1][0], order, count))).all()
        messages = [ArchivedMessage(channel, *row) for row in rows]
        return ArchivePage(tuple(messages[::-1] if last else messages), is_cut=count < len(found))

    async def prune(self, sent_before: int) -> int:
        """Delete messages sent before that, in milliseconds since 1970: the oldest, PRUNED_AT_ONCE at most.

        Returns how many they were.
        """
        key = (_C.channel, _C.message_offset, _C.epoch)
        old = select(*key).where(_C.sent_at < sent_before).order_by(_C.sent_at).limit(PRUNED_AT_ONCE)
        async with self._database.transaction(Work.WRITE) as connection:
            return (await connection.execute(delete(MESSAGES).where(tuple_(*key).in_(old)))).rowcount


def _messages(channel: str, one_end: int, other_end: int, order: Sequence[Any], count: int) -> Select[*tuple[Any, ...]]:
    columns = (_C.message_offset, _C.epoch, _C.sent_at, _C.user_id, _C.message)
    within = _C.message_offset.between(min(one_end, other_end), max(one_end, other_end))
    return select(*columns).where(_C.channel == channel, within).order_by(*order).limit(count)


def count_fitting(sizes: Sequence[int], max_bytes: int) -> int:
    """How many of the first sizes are no more than `max_bytes` together; 1 at least, if there is one."""
    return max(sum(total <= max_bytes for total in accumulate(sizes)), min(1, len(sizes)))
