"""Nodes with one safety of messages taken out. `scenarios.py` shows each one's effect."""

import asyncio
from collections.abc import Callable
from typing import Any

from tannoy.fanout.history.cursor import Cursor, CursorState
from tannoy.fanout.history.reader import HistoryPage, HistoryReader
from tannoy.fanout.history.tracker import ChannelTracker, Deliveries
from tannoy.node.connections.connection import Connection
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.relay import Relay
from tannoy.node.delivery.watermark import Watermark
from tannoy.shared.channels import Channel
from tannoy.shared.publication import Position, Publication, StartPosition

from tests.chaos.harness.patching import patch, patch_script, patch_scripts


def gap_check_off() -> None:
    """What comes is passed on, whatever is missing before it."""
    take = Cursor.take

    def pass_on(self: Cursor, message: Publication) -> list[Publication]:
        if self.state is CursorState.UNKNOWN or message.epoch != self.epoch or message.offset <= self.offset:
            return take(self, message)
        self.offset = message.offset
        self.state = CursorState.FOLLOWING
        return [message]

    patch(Cursor, "take", pass_on)


def dedupe_off() -> None:
    """What has been read from the log is passed on once more when the link brings it."""
    take = Cursor.take

    def pass_on(self: Cursor, message: Publication) -> list[Publication]:
        is_known = message.epoch == self.epoch and message.offset <= self.offset
        return [message] if is_known and self.state is CursorState.FOLLOWING else take(self, message)

    patch(Cursor, "take", pass_on)


def barrier_off() -> None:
    """Nobody compares the heads: a hole shows when the next message comes, or never."""

    async def sleep_for_ever(self: ChannelTracker) -> None:
        await asyncio.Event().wait()

    patch(ChannelTracker, "run", sleep_for_ever)


def epoch_not_bound() -> None:
    """Any server, with whatever data, counts as the one that was there before."""
    patch_scripts(b"if redis.call('HGET', server, 'id') ~= id then", b"if not redis.call('HGET', server, 'id') then")


def partial_recovery() -> None:
    """Who comes back gets what is still kept of what it has missed."""

    async def recover(self: HistoryReader, channel: Channel, position: Position, max_bytes: int) -> StartPosition:
        excerpt = await self.since(channel, position.offset)
        return StartPosition(excerpt.head, recovered=True, missed=excerpt.entries)

    patch(HistoryReader, "recover", recover)


def recovered_lies() -> None:
    """Who comes back is told that it has got all, and gets nothing."""

    async def recover(self: HistoryReader, channel: Channel, position: Position, max_bytes: int) -> StartPosition:
        return StartPosition(await self.head(channel), recovered=True)

    patch(HistoryReader, "recover", recover)


def fill_skips_one() -> None:
    """The first message of each hole stays missing."""
    found = Cursor.found

    def skip_one(self: Cursor, excerpt: HistoryPage) -> list[Publication]:
        is_next = excerpt.entries and excerpt.entries[0].offset == self.offset + 1
        if self.state is CursorState.FILLING and excerpt.head.epoch == self.epoch and is_next:
            self.offset += 1
        return found(self, excerpt)

    patch(Cursor, "found", skip_one)


def resync_suppressed() -> None:
    """Where a hole can't be filled nobody is told."""
    deliver = Relay.deliver

    def deliver_messages(self: Relay, batch: Deliveries) -> None:
        deliver(self, [(address, publication) for address, publication in batch if not publication.resets])

    patch(Relay, "deliver", deliver_messages)


def gate_drops() -> None:
    """What is said while somebody joins does not wait for it."""
    admit = Hub.complete_join

    def admit_alone(*arguments: Any) -> list[Publication]:
        admit(*arguments)
        return []

    patch(Hub, "complete_join", admit_alone)


def seen_again() -> None:
    """What a newcomer got from the log it gets again when the link brings it."""

    def forget(self: Hub, channel: Channel, member: object, seen: Watermark) -> None: ...

    patch(Hub, "skip_to", forget)


def key_ignored() -> None:
    """What is said again with the same key is said again."""
    patch_script("PUBLISH", b"local before = KEYS[4] and redis.call('GET', KEYS[4])", b"local before = false")


def skips_silently() -> None:
    """Who was too slow to read is not told what was dropped."""

    def say_nothing(self: Connection) -> None: ...

    patch(Connection, "_skipped", say_nothing)


MUTANTS: dict[str, Callable[[], None]] = {
    mutate.__name__: mutate
    for mutate in (
        gap_check_off,
        dedupe_off,
        barrier_off,
        epoch_not_bound,
        partial_recovery,
        recovered_lies,
        fill_skips_one,
        resync_suppressed,
        gate_drops,
        seen_again,
        key_ignored,
        skips_silently,
    )
}
