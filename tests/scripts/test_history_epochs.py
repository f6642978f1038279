"""When a new epoch starts, on a real Valkey: after every loss of data, and never without one."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
from tannoy.fanout.heads import HEAD_TTL
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.protocol.commands import HistoryQuery
from tannoy.shared.publication import Position

from tests.support.history_room import HISTORY_SCRIPTS, HistoryRoom, content_of
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

ALL = 1_000_000
"""A byte limit that no read in this file reaches."""


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey("--enable-debug-command", "yes") as running:
        yield running


@pytest.fixture
async def room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[HistoryRoom]:
    async with HistoryRoom.open(valkey, pipeline) as room:
        yield room


async def life(room: HistoryRoom) -> str:
    found: bytes = await room.valkey.run("HGET", room.keys.server, "life")
    return found.decode()


async def page(room: HistoryRoom) -> list[tuple[int, object]]:
    found = await room.history.page(room.channel, HistoryQuery(300))
    return [(entry.offset, content_of(entry)) for entry in found.entries]


# ---- the first epoch


async def test_first_message_starts_an_epoch_of_the_current_server_life(room: HistoryRoom) -> None:
    position = await room.publish_all("first")
    assert position.offset == 1
    assert position.epoch.startswith(f"{await life(room)}-")


async def test_head_of_a_channel_without_messages_starts_its_epoch(room: HistoryRoom) -> None:
    head = await room.history.head(room.channel)
    assert head.offset == 0
    assert HEAD_TTL - PATIENCE <= await room.ttl(room.keys.head) <= HEAD_TTL
    assert await room.history.head(room.channel) == head
    assert await room.publish_all("first") == Position(head.epoch, 1)


async def test_each_channel_of_a_partition_has_its_own_epoch(valkey: Valkey, pipeline: Pipeline) -> None:
    epochs: set[str] = set()
    lives: set[str] = set()
    for _ in range(200):
        async with HistoryRoom.open(valkey, pipeline, prefix="shared") as room:
            epochs.add((await room.history.head(room.channel)).epoch)
            lives.add(await life(room))
    assert len(epochs) == 200
    assert len(lives) > 1  # each partition knows for itself which server it is on


# ---- another server


async def identity_changed(room: HistoryRoom) -> None:
    await room.change_server_identity()


async def promoted(room: HistoryRoom) -> None:
    await room.valkey.run("DEBUG", "CHANGE-REPL-ID")
    await room.identify_server()


async def identity_deleted(room: HistoryRoom) -> None:
    await room.valkey.run("DEL", room.keys.server)


@pytest.mark.parametrize("change", [identity_changed, promoted, identity_deleted], ids=lambda each: each.__name__)
@pytest.mark.parametrize("trigger", ["publish", "read"])
async def test_new_server_identity_starts_an_epoch_that_keeps_offsets_and_log(
    room: HistoryRoom, change: Callable[[HistoryRoom], Awaitable[None]], trigger: str
) -> None:
    old = await room.publish_all("1", "2", "3")
    await change(room)
    if trigger == "read":
        assert (await room.history.head(room.channel)).offset == 3
    new = await room.publish_all("4")
    assert new.offset == 4
    assert new.epoch != old.epoch
    assert new.epoch.startswith(f"{await life(room)}-")
    assert await room.publish_all("5") == Position(new.epoch, 5)
    assert await page(room) == [(offset, str(offset)) for offset in range(1, 6)]
    assert await room.received() == [(offset, str(offset)) for offset in range(1, 6)]


async def test_recovery_from_the_old_epoch_is_refused_and_from_the_new_one_succeeds(room: HistoryRoom) -> None:
    old = await room.publish_all("1", "2")
    await room.change_server_identity()
    new = await room.publish_all("3", "4")
    assert (await room.history.recover(room.channel, old, ALL)).recovered is False
    start = await room.history.recover(room.channel, Position(new.epoch, 3), ALL)
    assert (start.position, start.recovered, [content_of(one) for one in start.missed]) == (new, True, ["4"])


async def test_reconnecting_to_the_same_server_keeps_the_epoch(room: HistoryRoom) -> None:
    position = await room.publish_all("1")
    await room.identify_server()
    assert await room.publish_all("2") == Position(position.epoch, 2)


async def test_new_server_identity_starts_one_epoch_for_all_connections(
    valkey: Valkey, pipeline: Pipeline, room: HistoryRoom
) -> None:
    await room.publish_all("1")
    await room.change_server_identity()
    async with open_pipeline(valkey, HISTORY_SCRIPTS) as other:
        await room.identify_server()
        positions = [await room.publish(n, pipeline=(pipeline, other)[n % 2]) for n in range(6)]
    assert len({position.epoch for position in positions if position is not None}) == 1


async def test_server_restarted_empty_starts_a_new_epoch_at_offset_one() -> None:
    async with Valkey() as valkey:
        async with open_pipeline(valkey, HISTORY_SCRIPTS) as pipeline, HistoryRoom.open(valkey, pipeline) as room:
            old = await room.publish_all("1", "2")
            prefix = room.keyspace.history(room.channel).server.partition(b":")[0].decode()
        valkey.kill()
        await valkey.start()
        async with (
            open_pipeline(valkey, HISTORY_SCRIPTS) as pipeline,
            HistoryRoom.open(valkey, pipeline, prefix=prefix) as room,
        ):
            position = await room.publish_all("after the loss")
            assert position.offset == 1
            assert position.epoch != old.epoch


# ---- keys that were deleted, changed or expired


async def test_publish_after_the_head_was_deleted_starts_an_epoch_and_clears_the_log(room: HistoryRoom) -> None:
    old = await room.publish_all("1", "2", "3")
    await room.valkey.run("DEL", room.keys.head)
    new = await room.publish_all("new")
    assert (new.offset, new.epoch != old.epoch) == (1, True)
    assert await page(room) == [(1, "new")]
    for offset in range(4):
        assert (await room.history.recover(room.channel, Position(old.epoch, offset), ALL)).recovered is False


async def test_read_after_the_head_was_deleted_starts_an_epoch_at_offset_zero(room: HistoryRoom) -> None:
    old = await room.publish_all("1", "2", "3")
    await room.valkey.run("DEL", room.keys.head)
    head = await room.history.head(room.channel)
    assert (head.offset, head.epoch != old.epoch) == (0, True)
    assert await page(room) == []
    assert await room.publish_all("new") == Position(head.epoch, 1)


@pytest.mark.parametrize("written", ["", " ", "LIFE-1", "LIFE-1 ", "LIFE-1 x", "LIFE-1 1 1", "1"])
@pytest.mark.parametrize("trigger", ["publish", "read"])
async def test_malformed_head_does_not_stop_a_channel(room: HistoryRoom, written: str, trigger: str) -> None:
    await room.publish_all("1", "2", "3")
    await room.valkey.run("SET", room.keys.head, written.replace("LIFE", await life(room)))
    if trigger == "read":
        await room.history.head(room.channel)
    position = await room.publish_all("new")
    assert position.epoch.startswith(f"{await life(room)}-")
    assert await room.publish_all("after it") == Position(position.epoch, position.offset + 1)
    assert (await page(room))[-2:] == [(position.offset, "new"), (position.offset + 1, "after it")]


async def test_deleted_log_refuses_recovery_and_keeps_the_epoch(room: HistoryRoom) -> None:
    old = await room.publish_all("1", "2", "3")
    await room.valkey.run("DEL", room.keys.log)
    assert (await room.history.recover(room.channel, Position(old.epoch, 1), ALL)).recovered is False
    assert (await room.history.recover(room.channel, old, ALL)).recovered is True
    assert await room.publish_all("4") == Position(old.epoch, 4)
    assert await page(room) == [(4, "4")]
    assert (await room.history.recover(room.channel, Position(old.epoch, 2), ALL)).recovered is False
    assert [content_of(one) for one in (await room.history.recover(room.channel, old, ALL)).missed] == ["4"]


@pytest.mark.parametrize("lost", ["head", "log"])
async def test_expired_head_or_log_acts_like_a_deleted_one(room: HistoryRoom, lost: str) -> None:
    old = await room.publish_all("1", "2", "3")
    await room.valkey.run("PEXPIRE", room.keys.head if lost == "head" else room.keys.log, "0")
    position = await room.publish_all("next")
    assert (position.offset, position.epoch == old.epoch) == ((1, False) if lost == "head" else (4, True))
