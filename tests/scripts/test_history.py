"""Publishing with history on a real Valkey: each message gets one offset and is stored and published in one step."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.heads import HEAD_TTL
from tannoy.fanout.history.publisher import REMEMBER_KEY_SECONDS, Publisher
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.errors import Unavailable
from tannoy.shared.publication import Position

from tests.support.history_room import HISTORY_SCRIPTS, RULES, HistoryRoom, envelope_of, publication_of
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE


@pytest.fixture
async def room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[HistoryRoom]:
    async with HistoryRoom.open(valkey, pipeline) as room:
        yield room


# ---- offsets


async def test_offsets_count_from_one_and_log_and_channel_carry_the_same(room: HistoryRoom) -> None:
    positions = [await room.publish_all(number) for number in range(5)]
    epoch = positions[0].epoch
    expected = [(offset, offset - 1) for offset in range(1, 6)]
    assert positions == [Position(epoch, offset) for offset in range(1, 6)]
    assert await room.received() == await room.log_entries() == expected
    assert await room.head() == f"{epoch} 5".encode()


async def test_published_payload_is_position_and_envelope(room: HistoryRoom) -> None:
    position = await room.publish("}\x00 é 🎉")
    assert position is not None
    assert await room.received_payloads() == [b"\x03%b 1 " % position.epoch.encode() + envelope_of("}\x00 é 🎉")]


async def test_concurrent_publishes_of_two_connections_get_distinct_offsets(valkey: Valkey, room: HistoryRoom) -> None:
    count = 200
    rules = HistoryRules(2 * count, 300)
    async with open_pipeline(valkey, HISTORY_SCRIPTS) as other:
        both = (room.pipeline, other)
        asked = [
            room.publish([number, side], rules=rules, pipeline=both[side]) for number in range(count) for side in (0, 1)
        ]
        positions = await asyncio.gather(*asked)
    offsets = [position.offset for position in positions if position is not None]
    log = await room.log_entries()
    assert sorted(offsets) == list(range(1, 2 * count + 1))
    assert await room.received() == log
    assert [offset for offset, _ in log] == list(range(1, 2 * count + 1))
    for side in (0, 1):
        assert [number for _, (number, its) in log if its == side] == list(range(count))


async def test_offsets_above_fourteen_digits_stay_exact(room: HistoryRoom) -> None:
    position = await room.publish_all("first")
    for high in (10**14 - 1, 10**15, 2**53 - 3):
        await room.valkey.run("SET", room.keys.head, f"{position.epoch} {high}")
        assert await room.publish("high") == Position(position.epoch, high + 1)
        assert await room.publish("higher") == Position(position.epoch, high + 2)
        assert [offset for offset, _ in (await room.log_entries())[-2:]] == [high + 1, high + 2]
        assert (await room.received())[-2:] == [(high + 1, "high"), (high + 2, "higher")]
        assert [each.offset for each in (await room.history.since(room.channel, high)).entries] == [high + 1, high + 2]
        assert await room.history.head(room.channel) == Position(position.epoch, high + 2)


# ---- idempotency keys


async def test_repeated_key_returns_the_position_of_the_first_message(room: HistoryRoom) -> None:
    await room.publish("before")
    positions = [await room.publish(attempt, key="k") for attempt in ("first", "first", "another content")]
    await room.publish("behind")
    assert {position and position.offset for position in positions} == {2}
    assert await room.received() == await room.log_entries() == [(1, "before"), (2, "first"), (3, "behind")]


async def test_repeated_key_is_told_from_a_new_one_where_that_is_asked_for(room: HistoryRoom) -> None:
    publisher = Publisher(room.pipeline, room.keyspace, RULES)
    told = [await publisher.publish_telling(room.channel, publication_of("hi"), key="k") for _ in range(2)]
    assert [each.is_repeated for each in told] == [False, True]
    assert told[0].position == told[1].position is not None
    assert await room.received() == [(1, "hi")]


@pytest.mark.parametrize(("key", "repeated"), [("k", [False, True]), (None, [False, False])])
async def test_repeated_key_is_told_from_a_new_one_without_history(
    room: HistoryRoom, key: str | None, repeated: list[bool]
) -> None:
    publisher = Publisher(room.pipeline, room.keyspace, HistoryRules(0, 300))
    told = [await publisher.publish_telling(room.channel, publication_of("hi"), key=key) for _ in range(2)]
    assert [(each.position, each.is_repeated) for each in told] == [(None, each) for each in repeated]


async def test_concurrent_publishes_with_one_key_publish_once(valkey: Valkey, room: HistoryRoom) -> None:
    async with open_pipeline(valkey, HISTORY_SCRIPTS) as other:
        asked = [room.publish("hi", key="k", pipeline=(room.pipeline, other)[turn % 2]) for turn in range(40)]
        positions = await asyncio.gather(*asked)
    assert len(set(positions)) == 1
    assert await room.received() == [(1, "hi")]


async def test_same_key_of_two_authors_publishes_both(room: HistoryRoom) -> None:
    for author in ("ada", "bob"):
        await room.publish(author, key="k", author=author)
    assert await room.log_entries() == [(1, "ada"), (2, "bob")]


async def test_repeated_key_in_a_later_epoch_returns_the_first_position(room: HistoryRoom) -> None:
    position = await room.publish("hi", key="k")
    await room.change_server_identity()
    await room.publish("of a new epoch")
    assert await room.publish("hi", key="k") == position


async def test_key_used_without_history_returns_no_position(room: HistoryRoom) -> None:
    nothing_kept = HistoryRules(0, 300)
    assert await room.publish("hi", key="k", rules=nothing_kept) is None
    assert await room.publish("hi", key="k") is None
    assert len(await room.received_payloads()) == 1


async def test_key_used_with_history_is_not_published_again_without_history(room: HistoryRoom) -> None:
    await room.publish("hi", key="k")
    assert await room.publish("hi", key="k", rules=HistoryRules(0, 300)) is None
    assert len(await room.received_payloads()) == 1


# ---- size and time to live


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_log_keeps_exactly_the_configured_number_of_messages(room: HistoryRoom, size: int) -> None:
    rules = HistoryRules(size, 300)
    for number in range(1, 13):
        await room.publish(number, rules=rules)
        assert await room.log_entries() == [(offset, offset) for offset in range(max(1, number - size + 1), number + 1)]


async def test_smaller_history_size_applies_with_the_next_message(room: HistoryRoom) -> None:
    await room.publish_all(*range(1, 11))
    await room.publish(11, rules=HistoryRules(3, 300))
    assert await room.log_entries() == [(9, 9), (10, 10), (11, 11)]


async def test_publish_renews_the_ttl_of_log_and_head(room: HistoryRoom) -> None:
    rules = HistoryRules(100, 77)
    for _ in range(2):
        await room.publish("hi", rules=rules)
        for key, seconds in ((room.keys.log, 77), (room.keys.head, HEAD_TTL)):
            assert seconds - PATIENCE <= await room.ttl(key) <= seconds
            await room.valkey.run("EXPIRE", key, "5")


async def test_head_is_kept_twice_as_long_as_the_log(room: HistoryRoom) -> None:
    await room.publish("hi", rules=HistoryRules(100, 4000))
    assert await room.ttl(room.keys.head) > 2 * await room.ttl(room.keys.log) - PATIENCE


async def test_repeated_key_does_not_extend_the_time_it_is_remembered(room: HistoryRoom) -> None:
    memory = room.keyspace.idempotency(room.channel, "ada", "k")
    await room.publish("hi", key="k")
    assert REMEMBER_KEY_SECONDS - PATIENCE <= await room.ttl(memory) <= REMEMBER_KEY_SECONDS
    await room.valkey.run("EXPIRE", memory, "20")
    await room.publish("hi", key="k")
    assert await room.ttl(memory) <= 20


async def test_repeated_key_does_not_renew_log_and_head(room: HistoryRoom) -> None:
    await room.publish("hi", key="k")
    for key in (room.keys.log, room.keys.head):
        await room.valkey.run("EXPIRE", key, "20")
    await room.publish("hi", key="k")
    assert max([await room.ttl(key) for key in (room.keys.log, room.keys.head)]) <= 20


async def test_publish_without_history_stores_no_keys(room: HistoryRoom) -> None:
    assert await room.publish("hi", rules=HistoryRules(0, 300)) is None
    assert await room.received_payloads() == [envelope_of("hi")]
    assert await room.existing_keys() == []


# ---- out of memory


async def limit_memory(valkey: Valkey, spare: int) -> None:
    """To `spare` bytes more than are in use."""
    used = (await valkey.run("INFO", "memory"))["used_memory"]
    await valkey.run("CONFIG", "SET", "maxmemory", str(used + spare))


async def assert_consistent(room: HistoryRoom, confirmed: int, contents: list[str]) -> None:
    """Head, log and remembered keys hold the same messages: those that were confirmed."""
    head = await room.head()
    assert int((head or b"none 0").split()[1]) == confirmed
    assert [content for _, content in await room.log_entries()] == contents[-RULES.size :]
    for number, content in enumerate(contents):
        memory = await room.valkey.run("GET", room.keyspace.idempotency(room.channel, "ada", content))
        assert int(memory.split()[1]) == number + 1, content
    assert [content for _, content in await room.received()] == contents


@pytest.mark.parametrize("right", ["set", "xadd", "expire", "publish"])
async def test_a_room_goes_on_after_publishes_without_a_right_of_its_script(
    valkey: Valkey, room: HistoryRoom, right: str
) -> None:
    before = await room.publish_all("before")
    await valkey.run("ACL", "SETUSER", "default", f"-{right}")
    try:
        with pytest.raises(Unavailable):
            await room.publish("refused")
    finally:
        await valkey.run("ACL", "SETUSER", "default", f"+{right}")
    after = await room.publish_all("after", "all")
    assert after.epoch == before.epoch
    assert (await room.log_entries())[-2:] == [(after.offset - 1, "after"), (after.offset, "all")]


async def test_publish_refused_for_memory_leaves_no_trace(valkey: Valkey, room: HistoryRoom) -> None:
    stored: list[str] = []
    refused: str | None = None
    try:
        await limit_memory(valkey, 200_000)
        for number in range(1000):
            content = f"{number} " + "x" * 5_000
            try:
                await room.publish(content, key=content)
            except Unavailable:
                refused = content
                break
            stored.append(content)
        assert refused is not None, "this Valkey never ran out of memory"
        assert stored
        await valkey.run("CONFIG", "SET", "maxmemory", "1")  # what it takes for a moment varies by more than a message
        with pytest.raises(Unavailable):
            await room.publish(refused, key=refused)
    finally:
        await valkey.run("CONFIG", "SET", "maxmemory", "0")
    await assert_consistent(room, len(stored), stored)
    assert await valkey.run("EXISTS", room.keyspace.idempotency(room.channel, "ada", refused)) == 0
    assert (await room.publish_all("again")).offset == len(stored) + 1


async def test_the_first_publish_of_a_room_is_refused_for_memory_as_any_other(
    valkey: Valkey, room: HistoryRoom
) -> None:
    await room.identify_server()
    before = await room.existing_keys()
    await valkey.run("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(Unavailable):
            await room.publish("first", key="first")
    finally:
        await valkey.run("CONFIG", "SET", "maxmemory", "0")
    assert await room.existing_keys() == before
    assert (await room.publish_all("first")).offset == 1


async def test_the_position_of_a_room_without_a_head_is_read_while_memory_is_out(
    valkey: Valkey, room: HistoryRoom
) -> None:
    await room.identify_server()
    await valkey.run("CONFIG", "SET", "maxmemory", "1")
    try:
        head = await room.history.head(room.channel)
    finally:
        await valkey.run("CONFIG", "SET", "maxmemory", "0")
    assert head.offset == 0
