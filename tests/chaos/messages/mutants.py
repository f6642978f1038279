"""Nodes with one safety of messages removed. `scenarios.py` shows the effect of each."""

import asyncio
from collections.abc import Callable
from typing import Any

from tannoy.fanout import script_batches
from tannoy.fanout.history import publish_batches
from tannoy.fanout.history.comparison import HeadComparison
from tannoy.fanout.history.cursor import Cursor, CursorState
from tannoy.fanout.history.reader import HistoryPage, HistoryReader
from tannoy.fanout.history.tracker import Deliveries
from tannoy.fanout.pubsub.server_proof import ServerProof
from tannoy.fanout.redis.connection import Reply
from tannoy.node.connections.connection import Connection
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.relay import Relay
from tannoy.node.delivery.watermark import Watermark
from tannoy.shared.channels import Channel
from tannoy.shared.publication import Position, Publication, StartPosition

from tests.chaos.harness.patching import patch, patch_script, patch_scripts


def gap_check_off() -> None:
    """A message is delivered even if messages before it are missing."""
    take = Cursor.handle_message

    def pass_on(self: Cursor, message: Publication) -> list[Publication]:
        if self.state is CursorState.UNKNOWN or message.epoch != self.epoch or message.offset <= self.offset:
            return take(self, message)
        self.offset = message.offset
        self.state = CursorState.FOLLOWING
        return [message]

    patch(Cursor, "handle_message", pass_on)


def dedupe_off() -> None:
    """A message that was read from the log is delivered again when the link brings it."""
    take = Cursor.handle_message

    def pass_on(self: Cursor, message: Publication) -> list[Publication]:
        is_known = message.epoch == self.epoch and message.offset <= self.offset
        return [message] if is_known and self.state is CursorState.FOLLOWING else take(self, message)

    patch(Cursor, "handle_message", pass_on)


def barrier_off() -> None:
    """The barrier never runs: a hole is noticed with the next message, or never."""

    async def sleep_for_ever(self: HeadComparison) -> None:
        await asyncio.Event().wait()

    patch(HeadComparison, "run", sleep_for_ever)


def epoch_not_bound_to_server() -> None:
    """Any server with any data counts as the server of the current epoch, whatever its data and messages show."""

    async def end_none(self: HistoryReader, channel: Channel, epoch: str, over: object = None) -> None: ...

    of_same_server = (
        b"if stored[1] == id and is_life(stored[2]) and stored[5] "
        b"and not is_older(stored[3], stored[4], seen_born, seen_beats) then"
    )
    patch_scripts(of_same_server, b"if stored[2] then")
    patch_script(
        "HEARTBEAT", b"if life and is_older(stored[2], stored[3], seen_born, seen_beats) then", b"if false then"
    )
    patch(HistoryReader, "end_epochs", end_none)


def server_proof_off() -> None:
    """Nothing proves that all connections of a node reach one server."""

    def find_none_elsewhere(self: ServerProof[Any]) -> list[Any]:
        return []

    patch(ServerProof, "end", find_none_elsewhere)


def partial_recovery() -> None:
    """Recovery returns the missed messages that are still kept, even if some are not."""

    async def recover(self: HistoryReader, channel: Channel, position: Position, max_bytes: int) -> StartPosition:
        excerpt = await self.since(channel, position.offset)
        return StartPosition(excerpt.head, recovered=True, missed=excerpt.entries)

    patch(HistoryReader, "recover", recover)


def recovered_without_messages() -> None:
    """Recovery claims to be complete and returns no messages."""

    async def recover(self: HistoryReader, channel: Channel, position: Position, max_bytes: int) -> StartPosition:
        return StartPosition(await self.head(channel), recovered=True)

    patch(HistoryReader, "recover", recover)


def fill_skips_one() -> None:
    """The first message of each hole stays missing."""
    found = Cursor.handle_page

    def skip_one(self: Cursor, excerpt: HistoryPage) -> list[Publication]:
        is_next = excerpt.entries and excerpt.entries[0].offset == self.offset + 1
        if self.state is CursorState.FILLING and excerpt.head.epoch == self.epoch and is_next:
            self.offset += 1
        return found(self, excerpt)

    patch(Cursor, "handle_page", skip_one)


def resync_suppressed() -> None:
    """No `resync` is sent for a hole that cannot be filled."""
    deliver = Relay.deliver

    def deliver_messages(self: Relay, batch: Deliveries) -> None:
        deliver(self, [(address, publication) for address, publication in batch if not publication.resets])

    patch(Relay, "deliver", deliver_messages)


def join_drops_messages() -> None:
    """Messages published during a join are not kept for the joining session."""
    admit = Hub.complete_join

    def admit_alone(*arguments: Any) -> list[Publication]:
        admit(*arguments)
        return []

    patch(Hub, "complete_join", admit_alone)


def recovered_messages_repeated() -> None:
    """A session that recovered messages from the log receives them again from the link."""

    def forget(self: Hub, channel: Channel, member: object, seen: Watermark) -> None: ...

    patch(Hub, "skip_to", forget)


def key_ignored() -> None:
    """A message repeated with the same key is published again."""
    patch_script("PUBLISH", b"local before = KEYS[4] and redis.call('GET', KEYS[4])", b"local before = false")


def positions_mixed_up() -> None:
    """Each message of a batch is acknowledged with the position of the first one."""

    def first_result(answer: asyncio.Future[Reply], messages: int) -> list[object]:
        return results_of(answer, messages)[:1] * messages

    results_of = script_batches.results_of
    patch(publish_batches, "results_of", first_result)


def skip_without_resync() -> None:
    """No `resync` is sent to a slow client whose messages were dropped."""

    def send_nothing(self: Connection) -> None: ...

    patch(Connection, "_resync", send_nothing)


MUTANTS: dict[str, Callable[[], None]] = {
    mutate.__name__: mutate
    for mutate in (
        gap_check_off,
        dedupe_off,
        barrier_off,
        epoch_not_bound_to_server,
        server_proof_off,
        partial_recovery,
        recovered_without_messages,
        fill_skips_one,
        resync_suppressed,
        join_drops_messages,
        recovered_messages_repeated,
        key_ignored,
        positions_mixed_up,
        skip_without_resync,
    )
}
