"""The epochs of archived channels: their offsets rise for ever, whatever Redis loses, and no others change."""

from collections.abc import AsyncGenerator
from itertools import count

import pytest
from tannoy.fanout.heads import HEAD_TTL
from tannoy.fanout.history.reader import SILENT_HEAD_TTL
from tannoy.fanout.probe import publish_probe
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.archived_channels import ArchivedChannels
from tannoy.shared.channels import Channel, ChannelKind
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.commands import HistoryQuery
from tannoy.shared.publication import Position

from tests.support.archived_room import ARCHIVE_SCRIPTS, ArchivedRoom, microseconds
from tests.support.history_room import RULES, HistoryRoom
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(valkey, ARCHIVE_SCRIPTS) as pipeline:
        yield pipeline


@pytest.fixture
async def room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[ArchivedRoom]:
    async with ArchivedRoom.open(valkey, pipeline) as room:
        yield room


def beside(room: ArchivedRoom) -> Channel:
    """Another room of the same partition, to which nobody is subscribed."""
    rooms = (room.room.keyspace.room(RoomName(f"silent-{number}")) for number in count())
    return next(each for each in rooms if each.partition == room.room.channel.partition)


def start_of(position: Position) -> int:
    return int(position.epoch.partition("_")[2])


async def test_an_epoch_begins_at_the_time_and_is_named_by_it(room: ArchivedRoom) -> None:
    before = microseconds()
    first, second = await room.publish_all("a"), await room.publish_all("b")

    assert before <= start_of(first) <= microseconds()
    assert (first.offset, second.offset) == (start_of(first) + 1, start_of(first) + 2)
    assert first.epoch == second.epoch


async def test_a_head_that_was_read_first_is_that_of_the_first_message(room: ArchivedRoom) -> None:
    head = await room.room.history.head(room.room.channel)

    assert head.is_start
    assert await room.publish_all("a") == Position(head.epoch, head.offset + 1)


async def test_after_redis_has_lost_everything_offsets_are_above_all_before(room: ArchivedRoom) -> None:
    before = await room.publish_all("a")
    await room.room.valkey.run("FLUSHALL")
    await room.say("room:*")

    assert (await room.publish_all("b")).offset > before.offset


async def test_after_another_server_offsets_are_above_all_before_and_the_log_stays(room: ArchivedRoom) -> None:
    before = await room.publish_all("a")
    await room.room.change_server_identity()
    after = await room.publish_all("b")

    assert after.epoch != before.epoch
    assert after.offset > before.offset
    assert await room.room.log_entries() == [(before.offset, "a"), (after.offset, "b")]


async def test_a_released_head_without_messages_is_kept_for_a_while(room: ArchivedRoom) -> None:
    silent = beside(room)
    assert (await room.room.history.head(silent)).is_start
    await room.room.history.release([silent])

    assert 0 < await room.room.ttl(room.room.keyspace.head(silent)) <= SILENT_HEAD_TTL


async def test_a_released_head_with_messages_stays(room: ArchivedRoom) -> None:
    await room.publish_all("a")
    await room.room.history.release([room.room.channel])

    assert await room.room.ttl(room.room.keys.head) > HEAD_TTL - PATIENCE


async def test_a_page_stores_a_head_without_messages_for_a_while(room: ArchivedRoom) -> None:
    await room.room.history.page(room.room.channel, HistoryQuery(10))

    assert 0 < await room.room.ttl(room.room.keys.head) <= SILENT_HEAD_TTL


async def test_a_publish_of_a_probe_is_archived_nowhere(room: ArchivedRoom) -> None:
    await publish_probe(room.room.pipeline, room.room.keyspace, RULES)(room.room.channel.partition)

    assert await room.waiting() == 0


# ---- what nodes say


async def test_another_setting_of_a_node_that_starts_begins_new_epochs(room: ArchivedRoom) -> None:
    archived = await room.publish_all("a")
    await room.say("")
    plain = await room.publish_all("b")

    assert plain.epoch != archived.epoch
    assert "_" not in plain.epoch
    assert plain.offset == archived.offset + 1
    assert await room.waiting() == 1


async def test_the_same_setting_of_another_node_changes_nothing(room: ArchivedRoom) -> None:
    before = await room.publish_all("a")
    await room.say("room:*")

    assert await room.publish_all("b") == Position(before.epoch, before.offset + 1)


async def test_another_setting_of_a_node_that_connects_again_changes_nothing(room: ArchivedRoom) -> None:
    before = await room.publish_all("a")
    await room.say("agent:*", insist=False)

    assert await room.publish_all("b") == Position(before.epoch, before.offset + 1)


async def test_a_node_that_connects_again_says_it_where_redis_has_lost_it(room: ArchivedRoom) -> None:
    await room.room.valkey.run("FLUSHALL")
    await room.say("room:*", insist=False)

    assert "_" in (await room.publish_all("b")).epoch


async def test_a_change_of_the_setting_leaves_the_wait_for_leases_as_it_is(room: ArchivedRoom) -> None:
    before = await room.room.valkey.run("HGET", room.room.keys.server, "until")
    life = await room.room.valkey.run("HGET", room.room.keys.server, "life")

    assert await room.say("agent:*") != life
    assert await room.room.valkey.run("HGET", room.room.keys.server, "until") == before


@pytest.mark.parametrize(
    "patterns", ["room:*", "room:r*", "room:room-", "room:room-*", "agent:*", "agent:*,room:*", "", "room:x,room:y*"]
)
async def test_scripts_and_nodes_agree_on_what_a_pattern_includes(
    valkey: Valkey, pipeline: Pipeline, patterns: str
) -> None:
    async with HistoryRoom.open(valkey, pipeline) as plain:
        room = ArchivedRoom(plain)
        await room.say(patterns)
        position = await room.publish_all("a")
        named = Channel(ChannelKind.ROOM, plain.channel.name, b"")

        assert ("_" in position.epoch) is ArchivedChannels(tuple(patterns.split(","))).include(named)
