"""`publish.lua` where something else has written to the keys of a channel: the next message gets a position again."""

from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.publication import Position

from tests.support.history_room import HistoryRoom
from tests.support.valkey import Valkey


@pytest.fixture
async def room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[HistoryRoom]:
    async with HistoryRoom.open(valkey, pipeline) as opened:
        yield opened


def epoch_of(position: Position | None) -> str:
    assert position is not None
    return position.epoch


async def test_a_message_behind_a_log_that_is_ahead_begins_an_epoch(room: HistoryRoom) -> None:
    before = await room.publish_all("a", "b")
    await room.valkey.run("SET", room.keys.head, f"{before.epoch} 0")

    after = await room.publish("c")

    assert epoch_of(after) != before.epoch
    assert await room.log_entries() == [(1, "c")]
    assert (await room.received())[-1] == (1, "c")


@pytest.mark.parametrize("offset", ["9007199254740992", "1e5", pytest.param("9" * 400, id="400-digits"), "-1", "x"])
async def test_an_offset_that_no_channel_reaches_begins_an_epoch(offset: str, room: HistoryRoom) -> None:
    before = await room.publish_all("a", "b")
    await room.valkey.run("SET", room.keys.head, f"{before.epoch} {offset}")

    after = await room.publish("c")

    assert epoch_of(after) != before.epoch
    assert await room.log_entries() == [(1, "c")]


async def test_a_head_whose_epoch_is_no_text_begins_an_epoch(room: HistoryRoom) -> None:
    before = await room.publish_all("a")
    await room.valkey.run("SET", room.keys.head, before.epoch.encode() + b"\xff 1")
    assert epoch_of(await room.publish("b")) != before.epoch


async def test_what_no_publish_has_stored_for_an_idempotency_key_counts_as_nothing(room: HistoryRoom) -> None:
    await room.publish("a")
    await room.valkey.run("SET", room.keyspace.idempotency(room.channel, "ada", "k"), b"\xff")
    assert await room.publish("b", key="k") == await room.publish("b", key="k")
    assert await room.received() == [(1, "a"), (2, "b")]
