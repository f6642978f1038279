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


async def connect(valkey: Valkey, life: Word = "", beats: int = 0) -> bytes:
    """The life that a new connection finds, of a node that has seen these."""
    found, _ = await run(valkey, SERVER_ENSURE, (SERVER,), 5500, life, beats)
    return bytes(found)


async def beat(valkey: Valkey, life: Word = "", beats: int = 0) -> tuple[bytes, int]:
    """The life and the beats that a heartbeat finds, of a node that has seen these."""
    _, _, found, count = await run(valkey, HEARTBEAT, (HEARTBEATS, SERVER), "me", 6000, life, beats)
    return bytes(found), int(count)


async def test_the_life_of_a_server_without_a_replication_id_goes_on(valkey: Valkey) -> None:
    life = await connect(valkey)
    assert life
    assert await connect(valkey) == life
    assert await valkey.run("HGET", SERVER, "id") == b"?"


async def test_each_heartbeat_is_counted(valkey: Valkey) -> None:
    life = await connect(valkey)
    assert [await beat(valkey, life, seen) for seen in (0, 1, 2)] == [(life, 1), (life, 2), (life, 3)]


async def test_fewer_heartbeats_than_a_node_has_seen_begin_a_life_with_its_connection(valkey: Valkey) -> None:
    life = await connect(valkey)
    await beat(valkey)
    assert await connect(valkey, life, 1) == life
    after = await connect(valkey, life, 2)
    assert after != life
    _, wait = await run(valkey, SERVER_ENSURE, (SERVER,), 5500)
    assert wait > 0, "nodes have to state their leases first"


async def test_fewer_heartbeats_than_a_node_has_seen_end_the_life_with_its_heartbeat(valkey: Valkey) -> None:
    life = await connect(valkey)
    found, beats = await beat(valkey, life, 1)
    assert found == b""
    assert await valkey.run("HGET", SERVER, "until") is None, "no lease is granted before a life begins"
    # The data catches up with what was seen, and has lost something all the same.
    assert await connect(valkey, life, beats) != life


async def test_what_was_seen_in_another_life_proves_nothing(valkey: Valkey) -> None:
    life = await connect(valkey)
    assert await connect(valkey, "another", 100) == life
    assert (await beat(valkey, "another", 100))[0] == life


async def test_a_node_that_has_proven_a_loss_ends_the_life_once(valkey: Valkey) -> None:
    life = await connect(valkey)
    assert await run(valkey, SERVER_DOUBT, (SERVER,), life) == 1
    after = await connect(valkey, life, 0)
    assert after != life
    assert await run(valkey, SERVER_DOUBT, (SERVER,), life) == 0
    assert await connect(valkey) == after


@pytest.mark.parametrize("known", ["?", "a" * 40])
async def test_a_server_that_tells_its_replication_id_no_more_or_for_the_first_time_begins_a_life(
    valkey: Valkey, known: str
) -> None:
    life = await connect(valkey)
    await valkey.run("HSET", SERVER, "id", known)
    assert (await connect(valkey) == life) is (known == "?")
