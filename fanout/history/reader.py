"""Reading the history of channels.

One script gives a message its offset, stores it and publishes it: two messages can't get the same offset, and the order
of history is the order of delivery. `lua/history_common.lua` says when a new epoch begins.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from ...shared.channels import Channel
from ...shared.errors import MalformedBytes
from ...shared.keyspace import Keyspace
from ...shared.protocol.commands import OFFSET_MAX, HistoryQuery
from ...shared.publication import Position, Publication, StartPosition
from ..heads import HEAD_TTL, read_position
from ..lease_times import DEFAULT_TIMES
from ..pubsub.envelopes import PLAIN, Envelopes
from ..redis.answers import read_later
from ..redis.connection import Reply
from ..redis.pipeline import AnyPipeline, CommandSender
from ..script_batches import ScriptBatches
from ..scripts import HEAD_RELEASE, HISTORY_READ, SERVER_DOUBT
from ..unreadable import UnreadableData

SILENT_HEAD_TTL = 60
"""The same for a channel in which nothing was said, from when nobody follows it any more."""
READ_MAX = 1000
"""Entries in one read."""
READ_MAX_BYTES = 512 * 1024
"""Bytes of the entries in one read, in both wire formats: one entry may exceed them. Redis is busy with it for 1 ms."""


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """How much history is kept. A `size` of 0: none."""

    size: int
    """Messages per channel."""
    ttl: int
    """Seconds after its last message until the history of a channel is deleted."""
    recovery_ms: int = DEFAULT_TIMES.recovery_ms
    """`LeaseTimes.recovery_ms`, for the script that is the first one to run on a new server."""

    @property
    def head_ttl(self) -> int:
        return max(HEAD_TTL, 2 * self.ttl)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Part of a channel's history in ascending order, and the head at the same moment."""

    head: Position
    entries: tuple[Publication, ...]
    is_cut: bool = False
    """Entries that were asked for are left out: because of their bytes, or since the archive is behind."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Offsets, from the first to the last one, of messages that are lost to the archive."""

    def continues(self, position: Position) -> bool:
        """Nothing is missing between `position` and the last entry or, without entries, the head."""
        offset = position.offset
        return (
            self.head.epoch == position.epoch
            and offset + len(self.entries) <= self.head.offset
            and all(entry.offset == expected for expected, entry in enumerate(self.entries, offset + 1))
            and (bool(self.entries) or offset == self.head.offset)
        )

    @property
    def is_complete(self) -> bool:
        """The page reaches up to the head."""
        return not self.entries or self.entries[-1].offset >= self.head.offset


class StoredHead(NamedTuple):
    """A channel's head as Redis stores it; None: there is none."""

    life: bytes | None
    """The life of the channel's server: it changes when the server may have lost data."""
    head: bytes | None
    """`EPOCH OFFSET`."""


class HistoryReader:
    """Every method, or the future that it returns, raises Unavailable.

    Entries that no node has written are left out of pages, and noted in `unreadable`.
    """

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        rules: HistoryRules,
        envelopes: Envelopes = PLAIN,
        unreadable: UnreadableData | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.rules = rules
        self.envelopes = envelopes
        self._keyspace = keyspace
        self._unreadable = unreadable or UnreadableData()
        self._batches = ScriptBatches(pipeline, {HEAD_RELEASE: (SILENT_HEAD_TTL,)}, self._unreadable)

    @property
    def is_kept(self) -> bool:
        return self.rules.size > 0

    def head(self, channel: Channel) -> asyncio.Future[Position]:
        """The position of the channel's last message. A channel without a head gets one: offset 0 of a new epoch."""
        return read_later(self._run(channel, 0, "+", 0, "first", 0), lambda reply: read_position(reply[0]))

    def since(self, channel: Channel, offset: int, max_bytes: int = READ_MAX_BYTES) -> asyncio.Future[HistoryPage]:
        """The first messages after `offset` that are kept: READ_MAX, or `max_bytes` and at least one."""
        return self._read(channel, self._run(channel, offset + 1, "+", READ_MAX, "first", max_bytes))

    def page(self, channel: Channel, query: HistoryQuery) -> asyncio.Future[HistoryPage]:
        """The first messages after `since`, or the last ones before `before`.

        At most `limit`, and READ_MAX_BYTES, but at least one. The position of a channel without a head is good for
        SILENT_HEAD_TTL, and for as long as the epoch lasts if a message or a session comes within it.
        """
        lowest = 0 if query.since is None else query.since + 1
        highest = "+" if query.before is None else max(query.before - 1, 0)
        which = "last" if query.since is None else "first"
        reply = self._run(channel, lowest, highest, query.limit, which, READ_MAX_BYTES, new_head_ttl=SILENT_HEAD_TTL)
        return self._read(channel, reply)

    async def recover(self, channel: Channel, position: Position, max_bytes: int) -> StartPosition:
        """All messages after `position`, or none of them.

        None, if the position is of another epoch or beyond the head, if not all messages are kept any more, or if they
        are more than `max_bytes` in either wire format.
        """
        if position.offset > OFFSET_MAX:
            return StartPosition(await self.head(channel), recovered=False)
        missed: list[Publication] = []
        json_bytes = msgpack_bytes = 0
        while True:
            page = await self.since(channel, position.offset)
            json_bytes += sum(len(entry.encoded.json) for entry in page.entries)
            msgpack_bytes += sum(len(entry.encoded.msgpack) for entry in page.entries)
            if max(json_bytes, msgpack_bytes) > max_bytes or not page.continues(position):
                return StartPosition(page.head, recovered=False)
            missed += page.entries
            if page.is_complete:
                return StartPosition(page.head, recovered=True, missed=tuple(missed))
            position = Position(position.epoch, missed[-1].offset)

    async def heads(self, channels: Sequence[Channel], over: CommandSender | None = None) -> list[StoredHead]:
        """The heads of channels that all lie in one partition, as they are stored.

        `over`, here and below: what to ask instead of the own pipeline; then what that raises is raised.
        """
        server, keys = self._keyspace.history(channels[0]).server, map(self._keyspace.head, channels)
        asked = over or self.pipeline
        life, heads = await asyncio.gather(asked.send("HGET", server, "life"), asked.send("MGET", *keys))
        return [StoredHead(life, head) for head in heads]

    async def end_epochs(self, channel: Channel, epoch: str, over: CommandSender | None = None) -> None:
        """Redis has lost messages of this epoch: no epoch of the channel's partition goes on."""
        life, _, _ = epoch.replace("_", "-").partition("-")
        await (over or self.pipeline).run_script(SERVER_DOUBT, (self._keyspace.history(channel).server,), (life,))

    async def renew(self, channels: Iterable[Channel]) -> None:
        """Extend the time to live of the heads of these channels."""
        ttl = self.rules.head_ttl
        await asyncio.gather(*(self.pipeline.send("EXPIRE", key, ttl) for key in map(self._keyspace.head, channels)))

    async def release(self, channels: Iterable[Channel]) -> None:
        """The caller follows these channels no longer: the heads of those in which nothing was said need not stay."""
        release = partial(self._batches.call, HEAD_RELEASE)
        await asyncio.gather(*(release((self._keyspace.head(each),), (each.address,)) for each in channels))

    def _read(self, channel: Channel, reply: asyncio.Future[Reply]) -> asyncio.Future[HistoryPage]:
        return read_later(reply, partial(self._read_page, channel))

    def _run(
        self,
        channel: Channel,
        lowest: int,
        highest: int | str,
        count: int,
        which: str,
        max_bytes: int,
        new_head_ttl: int | None = None,
    ) -> "asyncio.Future[Reply]":
        rules, new_ttl = self.rules, "" if new_head_ttl is None else new_head_ttl
        arguments = (lowest, highest, count, which, rules.head_ttl, rules.recovery_ms, max_bytes, new_ttl)
        return self.pipeline.run_script(HISTORY_READ, self._keyspace.history(channel), arguments)

    def _read_page(self, channel: Channel, reply: Reply) -> HistoryPage:
        """The page in a reply of HISTORY_READ: [`EPOCH OFFSET`, [[`OFFSET-0`, [field, envelope]], …], is_cut]."""
        head = read_position(reply[0])
        entries: list[Publication] = []
        for id, fields in reply[1]:
            try:
                entries.append(self._read_entry(channel, head, bytes(id), bytes(fields[1])))
            except (MalformedBytes, ValueError):
                self._unreadable.note(self._keyspace.history(channel).log, fields[1])
        # Without an entry there is no offset from which to ask on.
        return HistoryPage(head, tuple(entries), is_cut=reply[2] == 1 and bool(entries))

    def _read_entry(self, channel: Channel, head: Position, id: bytes, envelope: bytes) -> Publication:
        """Raises MalformedBytes and ValueError. The head is written before its entry, so none is ahead of it."""
        number, _, sequence = id.partition(b"-")
        offset = int(number)
        if sequence != b"0" or offset > head.offset:
            raise MalformedBytes("an entry of the history at an offset that Redis has not assigned")
        return self.envelopes.unpack_entry(channel.address, envelope, head.epoch, offset)


def read_head(stored: StoredHead) -> Position | None:
    """The position in a stored head; None if there is none, or it is of another life of the server.

    One that no script has written counts as none, as it does for the scripts: they begin a new epoch.
    """
    life, head = stored
    if life is None or head is None or not head.startswith(life):
        return None
    try:
        position = read_position(head)
    except ValueError:
        return None
    return position if 0 <= position.offset < OFFSET_MAX else None
