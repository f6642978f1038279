"""`server_adopt.lua` on a real Valkey: a server life continues only where its data is known to come from it."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.fanout.redis.connection import Word
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import SERVER_ADOPT, SERVER_ENSURE
from tannoy.shared.keyspace import Keyspace

from tests.support.valkey import Valkey

SERVER = Keyspace("scripts").server(0)
FORMER = "a" * 40


@pytest.fixture
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


async def run(valkey: Valkey, script: Script, *arguments: Word) -> Any:
    words = ("EVAL", script.source, 1, SERVER, *arguments)
    return await valkey.run(*(word if isinstance(word, bytes) else str(word) for word in words))


async def own_id(valkey: Valkey) -> str:
    return str((await valkey.run("INFO", "replication"))["master_replid"])


async def life(valkey: Valkey) -> bytes:
    """The server life, read as every new connection reads it."""
    known, *_ = await run(valkey, SERVER_ENSURE, 5500)
    return bytes(known)


async def migrate_from(valkey: Valkey, former: str) -> bytes:
    """Make the partition look as after MIGRATE from the server with that replication id; returns its life."""
    known = await life(valkey)
    await valkey.run("HSET", SERVER, "id", former)
    return known


async def test_adopted_server_life_continues(valkey: Valkey) -> None:
    known = await migrate_from(valkey, FORMER)
    assert await run(valkey, SERVER_ADOPT, FORMER, await own_id(valkey)) == 1
    assert await life(valkey) == known


async def test_server_life_that_is_not_adopted_ends(valkey: Valkey) -> None:
    known = await migrate_from(valkey, FORMER)
    assert await life(valkey) != known


async def test_second_adoption_changes_nothing(valkey: Valkey) -> None:
    known = await migrate_from(valkey, FORMER)
    for _ in range(2):
        assert await run(valkey, SERVER_ADOPT, FORMER, await own_id(valkey)) == 1
    assert await life(valkey) == known


async def test_data_of_an_unexpected_server_is_not_adopted(valkey: Valkey) -> None:
    known = await migrate_from(valkey, "b" * 40)
    assert await run(valkey, SERVER_ADOPT, FORMER, await own_id(valkey)) == 0
    assert await life(valkey) != known


async def test_server_whose_identity_changed_adopts_nothing(valkey: Valkey) -> None:
    known = await migrate_from(valkey, FORMER)
    before = await own_id(valkey)
    await valkey.run("REPLICAOF", "127.0.0.1", "1")
    await valkey.run("REPLICAOF", "NO", "ONE")
    assert await own_id(valkey) != before
    assert await run(valkey, SERVER_ADOPT, FORMER, before) == 0
    assert await life(valkey) != known


async def test_partition_without_data_has_no_life_to_adopt(valkey: Valkey) -> None:
    assert await run(valkey, SERVER_ADOPT, FORMER, await own_id(valkey)) == 0
    assert await valkey.run("EXISTS", SERVER) == 0
