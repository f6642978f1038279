"""A server without a replication id, on a real Valkey: its data shows by the heartbeats in it what it has lost."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.fanout.redis.connection import Word
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import HEARTBEAT, SERVER_DOUBT, SERVER_ENSURE
from tannoy.shared.keyspace import Keyspace

from tests.support.valkey import Valkey

KEYSPACE = Keyspace("scripts")
SERVER, HEARTBEATS = KEYSPACE.server(0), KEYSPACE.heartbeats(0)

WITHOUT_INFO = ("--rename-command", "INFO", "")
"""For INFO in a script such a server has an error, as the services of Redis Ltd. have."""
INFO_WITHOUT_FIELDS = ("--rename-command", "INFO", "", "--rename-command", "ECHO", "INFO")
"""`INFO replication` replies `replication`: a heading and no field, as Upstash has it."""


@pytest.fixture(params=[WITHOUT_INFO, INFO_WITHOUT_FIELDS], ids=["without INFO", "INFO without fields"])
async def valkey(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey(*request.param) as running:
        yield running


async def run(valkey: Valkey, script: Script, keys: tuple[bytes, ...], *arguments: Word) -> Any:
    words = ("EVAL", script.source, len(keys), *keys, *arguments)
    return await valkey.run(*(word if isinstance(word, bytes) else str(word) for word in words))


async def connect(valkey: Valkey, born: int = 0, beats: int = 0) -> tuple[bytes, int]:
    """The life that a new connection finds, and when it was born, of a node that has seen these."""
    life, _, found, _ = await run(valkey, SERVER_ENSURE, (SERVER,), 5500, born, beats)
    return bytes(life), int(found)


async def beat(valkey: Valkey, born: int = 0, beats: int = 0) -> tuple[bytes, int]:
    """The life and the beats that a heartbeat finds, of a node that has seen these."""
    [(_, _, life, _, count, _)] = await run(valkey, HEARTBEAT, (HEARTBEATS, SERVER), "me", 6000, born, beats)
    return bytes(life), int(count)


async def test_the_life_of_a_server_without_a_replication_id_goes_on(valkey: Valkey) -> None:
    life, born = await connect(valkey)
    assert life
    assert await connect(valkey, born, 0) == (life, born)
    assert await valkey.run("HGET", SERVER, "id") == b"?"


async def test_each_heartbeat_is_counted(valkey: Valkey) -> None:
    life, born = await connect(valkey)
    assert [await beat(valkey, born, seen) for seen in (0, 1, 2)] == [(life, 1), (life, 2), (life, 3)]


async def test_fewer_heartbeats_than_a_node_has_seen_begin_a_life_with_its_connection(valkey: Valkey) -> None:
    life, born = await connect(valkey)
    await beat(valkey)
    assert await connect(valkey, born, 1) == (life, born)
    after, _ = await connect(valkey, born, 2)
    assert after != life
    _, wait, _, _ = await run(valkey, SERVER_ENSURE, (SERVER,), 5500)
    assert wait > 0, "nodes have to state their leases first"


async def test_fewer_heartbeats_than_a_node_has_seen_end_the_life_with_its_heartbeat(valkey: Valkey) -> None:
    life, born = await connect(valkey)
    found, beats = await beat(valkey, born, 1)
    assert found == b""
    assert await valkey.run("HGET", SERVER, "until") is None, "no lease is granted before a life begins"
    # The data catches up with what was seen, and has lost something all the same.
    assert (await connect(valkey, born, beats))[0] != life


async def test_a_life_that_ended_before_does_not_come_back_with_older_data(valkey: Valkey) -> None:
    former, born = await connect(valkey)
    for _ in range(9):
        await beat(valkey)
    former_data = await valkey.run("DUMP", SERVER)
    await run(valkey, SERVER_DOUBT, (SERVER,), former)
    _, later = await connect(valkey, born, 9)
    assert later > born
    await valkey.run("RESTORE", SERVER, "0", former_data, "REPLACE")
    assert (await beat(valkey, later, 1))[0] == b""
    after, newest = await connect(valkey, later, 1)
    assert after != former
    assert newest > later


async def test_data_that_is_later_than_what_was_seen_proves_nothing(valkey: Valkey) -> None:
    life, born = await connect(valkey)
    await beat(valkey)
    assert await connect(valkey, born - 1, 100) == (life, born)
    assert (await beat(valkey, born - 1, 100))[0] == life


async def test_a_life_is_born_after_the_one_before_though_the_clock_was_set_back(valkey: Valkey) -> None:
    _, born = await connect(valkey)
    _, after = await connect(valkey, born + 10**9, 0)
    assert after == born + 10**9 + 1


async def test_a_node_that_has_proven_a_loss_ends_the_life_once(valkey: Valkey) -> None:
    life, born = await connect(valkey)
    assert await run(valkey, SERVER_DOUBT, (SERVER,), life) == 1
    after, later = await connect(valkey, born, 0)
    assert after != life
    assert await run(valkey, SERVER_DOUBT, (SERVER,), life) == 0
    assert await connect(valkey) == (after, later)


@pytest.mark.parametrize("known", ["?", "a" * 40])
async def test_a_server_that_tells_its_replication_id_no_more_or_for_the_first_time_begins_a_life(
    valkey: Valkey, known: str
) -> None:
    life, _ = await connect(valkey)
    await valkey.run("HSET", SERVER, "id", known)
    assert ((await connect(valkey))[0] == life) is (known == "?")
