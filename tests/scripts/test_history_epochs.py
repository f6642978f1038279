"""When a new epoch begins, against a real Valkey: after every loss, and never without one."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
from tannoy.fanout.history.reader import HEAD_TTL
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.protocol.commands import HistoryQuery
from tannoy.shared.publication import Position

from tests.support.history_room import HistoryRoom, content_of, pipeline_to
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

ALL = 1_000_000
"""Bytes that nothing here exceeds."""


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey("--enable-debug-command", "yes") as running:
        yield running


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with pipeline_to(valkey) as pipeline:
        yield pipeline


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


# ---- the first one


async def test_the_first_message_begins_an_epoch_of_this_life_of_the_server(room: HistoryRoom) -> None:
    place = await room.say("first")
    assert place.offset == 1
    assert place.epoch.startswith(f"{await life(room)}-")


async def test_whoever_asks_a_channel_that_never_said_anything_begins_its_epoch(room: HistoryRoom) -> None:
    head = await room.history.head(room.channel)
    assert head.offset == 0
    assert HEAD_TTL - PATIENCE <= await room.ttl(room.keys.head) <= HEAD_TTL
    assert await room.history.head(room.channel) == head
    assert await room.say("first") == Position(head.epoch, 1)


async def test_channels_of_one_partition_have_epochs_of_their_own(valkey: Valkey, pipeline: Pipeline) -> None:
    epochs: set[str] = set()
    lives: set[str] = set()
    for _ in range(200):
        async with HistoryRoom.open(valkey, pipeline, prefix="shared") as room:
            epochs.add((await room.history.head(room.channel)).epoch)
            lives.add(await life(room))
    assert len(epochs) == 200
    assert len(lives) > 1  # each partition knows for itself which server it is on


# ---- another server


async def changes_by_hand(room: HistoryRoom) -> None:
    await room.become_another_server()


async def is_promoted(room: HistoryRoom) -> None:
    await room.valkey.run("DEBUG", "CHANGE-REPL-ID")
    await room.meet()


async def forgets_who_it_is(room: HistoryRoom) -> None:
    await room.valkey.run("DEL", room.keys.server)


@pytest.mark.parametrize("change", [changes_by_hand, is_promoted, forgets_who_it_is], ids=lambda each: each.__name__)
@pytest.mark.parametrize("asks", ["a message", "a question"])
async def test_on_another_server_a_new_epoch_goes_on_counting_and_the_log_stays_readable(
    room: HistoryRoom, change: Callable[[HistoryRoom], Awaitable[None]], asks: str
) -> None:
    old = await room.say("1", "2", "3")
    await change(room)
    if asks == "a question":
        assert (await room.history.head(room.channel)).offset == 3
    new = await room.say("4")
    assert new.offset == 4
    assert new.epoch != old.epoch
    assert new.epoch.startswith(f"{await life(room)}-")
    assert await room.say("5") == Position(new.epoch, 5)
    assert await page(room) == [(offset, str(offset)) for offset in range(1, 6)]
    assert await room.heard() == [(offset, str(offset)) for offset in range(1, 6)]


async def test_a_position_of_the_old_epoch_is_not_recovered_and_one_of_the_new_is(room: HistoryRoom) -> None:
    old = await room.say("1", "2")
    await room.become_another_server()
    new = await room.say("3", "4")
    assert (await room.history.recover(room.channel, old, ALL)).recovered is False
    start = await room.history.recover(room.channel, Position(new.epoch, 3), ALL)
    assert (start.position, start.recovered, [content_of(one) for one in start.missed]) == (new, True, ["4"])


async def test_a_server_that_was_met_before_is_no_other_one(room: HistoryRoom) -> None:
    place = await room.say("1")
    await room.meet()
    assert await room.say("2") == Position(place.epoch, 2)


async def test_another_server_begins_one_epoch_however_many_connections_meet_it(
    valkey: Valkey, pipeline: Pipeline, room: HistoryRoom
) -> None:
    await room.say("1")
    await room.become_another_server()
    async with pipeline_to(valkey) as other:
        await room.meet()
        places = [await room.publish(n, pipeline=(pipeline, other)[n % 2]) for n in range(6)]
    assert len({place.epoch for place in places if place is not None}) == 1


async def test_a_server_that_has_lost_everything_begins_anew() -> None:
    async with Valkey() as valkey:
        async with pipeline_to(valkey) as pipeline, HistoryRoom.open(valkey, pipeline) as room:
            old = await room.say("1", "2")
            prefix = room.keyspace.history(room.channel).server.partition(b":")[0].decode()
        valkey.kill()
        await valkey.start()
        async with pipeline_to(valkey) as pipeline, HistoryRoom.open(valkey, pipeline, prefix=prefix) as room:
            place = await room.say("of another life")
            assert place.offset == 1
            assert place.epoch != old.epoch


# ---- by hand


async def test_a_head_that_was_deleted_begins_at_the_beginning_and_nothing_older_is_kept(room: HistoryRoom) -> None:
    old = await room.say("1", "2", "3")
    await room.valkey.run("DEL", room.keys.head)
    new = await room.say("anew")
    assert (new.offset, new.epoch != old.epoch) == (1, True)
    assert await page(room) == [(1, "anew")]
    for offset in range(4):
        assert (await room.history.recover(room.channel, Position(old.epoch, offset), ALL)).recovered is False


async def test_a_head_that_was_deleted_is_asked_for_before_anything_is_said(room: HistoryRoom) -> None:
    old = await room.say("1", "2", "3")
    await room.valkey.run("DEL", room.keys.head)
    head = await room.history.head(room.channel)
    assert (head.offset, head.epoch != old.epoch) == (0, True)
    assert await page(room) == []
    assert await room.say("anew") == Position(head.epoch, 1)


@pytest.mark.parametrize("written", ["", " ", "LIFE-1", "LIFE-1 ", "LIFE-1 x", "LIFE-1 1 1", "1"])
@pytest.mark.parametrize("asks", ["a message", "a question"])
async def test_a_head_that_is_none_never_stops_a_channel(room: HistoryRoom, written: str, asks: str) -> None:
    await room.say("1", "2", "3")
    await room.valkey.run("SET", room.keys.head, written.replace("LIFE", await life(room)))
    if asks == "a question":
        await room.history.head(room.channel)
    place = await room.say("anew")
    assert place.epoch.startswith(f"{await life(room)}-")
    assert await room.say("behind it") == Position(place.epoch, place.offset + 1)
    assert (await page(room))[-2:] == [(place.offset, "anew"), (place.offset + 1, "behind it")]


async def test_a_log_that_was_deleted_lacks_its_messages_and_the_channel_goes_on(room: HistoryRoom) -> None:
    old = await room.say("1", "2", "3")
    await room.valkey.run("DEL", room.keys.log)
    assert (await room.history.recover(room.channel, Position(old.epoch, 1), ALL)).recovered is False
    assert (await room.history.recover(room.channel, old, ALL)).recovered is True
    assert await room.say("4") == Position(old.epoch, 4)
    assert await page(room) == [(4, "4")]
    assert (await room.history.recover(room.channel, Position(old.epoch, 2), ALL)).recovered is False
    assert [content_of(one) for one in (await room.history.recover(room.channel, old, ALL)).missed] == ["4"]


@pytest.mark.parametrize("lost", ["head", "log"])
async def test_what_runs_out_by_itself_is_like_what_was_deleted(room: HistoryRoom, lost: str) -> None:
    old = await room.say("1", "2", "3")
    await room.valkey.run("PEXPIRE", room.keys.head if lost == "head" else room.keys.log, "0")
    place = await room.say("next")
    assert (place.offset, place.epoch == old.epoch) == ((1, False) if lost == "head" else (4, True))
