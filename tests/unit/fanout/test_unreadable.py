"""What no node has written is told from what nodes write, counted, logged once for each kind of key, and removed."""

import pytest
from tannoy.fanout.redis.errors import CommandFailed, RedisError
from tannoy.fanout.scripts import SERVER_ENSURE, UNREADABLE_REMOVE
from tannoy.fanout.unreadable import (
    UnreadableData,
    parse_incarnation,
    parse_number,
    parse_owner_member,
    parse_room_member,
)
from tannoy.shared.channels import Owner, OwnerKind, partition
from tannoy.shared.keyspace import Keyspace

from tests.support.clock import on_manual_time, turns
from tests.support.logged_events import logged_events
from tests.support.scripted_redis import ScriptedPipeline

KEYSPACE = Keyspace("tannoy")
SERVER, DUE = KEYSPACE.server(0), KEYSPACE.due(0)
WRONG_TYPE = RedisError("WRONGTYPE Operation against a key holding the wrong kind of value")
OUT_OF_MEMORY = RedisError("OOM command not allowed")


def test_a_room_is_read_in_its_own_partition_alone() -> None:
    part = partition("room", "lobby")
    assert parse_room_member(b"lobby", part) == "lobby"
    assert parse_room_member(b"lobby", (part + 1) % 64) is None


@pytest.mark.parametrize("member", [b"\xff", b"", b"a b", b"a" * 129])
def test_what_is_no_name_of_a_room_is_none(member: bytes) -> None:
    assert [parse_room_member(member, part) for part in range(64)] == [None] * 64


def test_an_owner_is_read_in_its_own_partition_alone() -> None:
    owner = Owner(OwnerKind.USER, "auth0|ada")
    assert parse_owner_member(b"user:auth0|ada", owner.partition) == owner
    assert parse_owner_member(b"user:auth0|ada", (owner.partition + 1) % 64) is None


@pytest.mark.parametrize("member", [b"\xff", b"", b"robot:1", b"agent:", b"agent:a|b", b"agent"])
def test_what_is_no_owner_is_none(member: bytes) -> None:
    assert [parse_owner_member(member, part) for part in range(64)] == [None] * 64


@pytest.mark.parametrize(
    ("member", "incarnation"),
    [(b"9f86d081884c7d65", "9f86d081884c7d65"), (b".since", None), (b"\xff", None), (b"", None), (b"a" * 65, None)],
)
def test_an_incarnation_has_letters_and_digits(member: bytes, incarnation: str | None) -> None:
    assert parse_incarnation(member) == incarnation


@pytest.mark.parametrize(
    ("field", "number"),
    [(b"0", 0), (b"17", 17), (b"017", None), (b"+1", None), (b"", None), (b"1" * 16, None), (b"\xb2", None)],
)
def test_a_number_is_read_as_a_process_has_written_it(field: bytes, number: int | None) -> None:
    assert parse_number(field) == number


def test_each_value_is_counted_and_the_first_of_a_kind_of_key_logged(caplog: pytest.LogCaptureFixture) -> None:
    unreadable = UnreadableData()
    for part in range(3):
        unreadable.note(KEYSPACE.due(part), b"\xff")
    unreadable.note(SERVER, None, 2)
    assert unreadable.statistics() == {"due": 3, "server": 2}
    assert [event["key"] for event in logged_events(caplog)] == [repr(DUE), repr(SERVER)]


@on_manual_time
async def test_members_are_noted_and_removed() -> None:
    redis, unreadable = ScriptedPipeline(), UnreadableData()
    redis.reply_with("ZREM", 2)
    await unreadable.remove(redis, "ZREM", DUE, b"\xff", b"")
    assert redis.arguments_of("ZREM") == [[DUE, b"\xff", b""]]
    assert unreadable.statistics() == {"due": 2}


@on_manual_time
async def test_nothing_is_sent_where_nothing_has_to_be_removed() -> None:
    redis = ScriptedPipeline()
    await UnreadableData().remove(redis, "ZREM", DUE)
    assert redis.calls == []


@on_manual_time
async def test_keys_of_a_command_refused_because_of_its_data_are_cleaned_once() -> None:
    redis, unreadable = ScriptedPipeline(), UnreadableData()
    redis.reply_with(UNREADABLE_REMOVE, [1])
    for _ in range(2):
        unreadable.on_refused(redis, ("ZRANGE", DUE, 0, -1), WRONG_TYPE)
    await turns()
    assert [(call.keys, call.words) for call in redis.calls] == [((DUE,), [b"due"])]
    assert unreadable.statistics() == {"due": 1}


@on_manual_time
async def test_a_command_refused_for_another_reason_has_nothing_removed() -> None:
    redis, unreadable = ScriptedPipeline(), UnreadableData()
    unreadable.on_refused(redis, ("ZRANGE", DUE, 0, -1), OUT_OF_MEMORY)
    assert redis.calls == []


@on_manual_time
async def test_a_script_is_repeated_once_its_keys_are_readable() -> None:
    redis, unreadable = ScriptedPipeline(), UnreadableData()
    redis.reply_with(SERVER_ENSURE, CommandFailed("refused", refusal=WRONG_TYPE), "life")
    redis.reply_with(UNREADABLE_REMOVE, [1])
    assert await unreadable.run(redis, SERVER_ENSURE, (SERVER,), ()) == "life"
    assert unreadable.statistics() == {"server": 1}


@on_manual_time
async def test_a_script_refused_for_another_reason_is_not_repeated() -> None:
    redis = ScriptedPipeline()
    redis.reply_with(SERVER_ENSURE, CommandFailed("refused", refusal=OUT_OF_MEMORY))
    with pytest.raises(CommandFailed):
        await UnreadableData().run(redis, SERVER_ENSURE, (SERVER,), ())
    assert len(redis.calls) == 1
