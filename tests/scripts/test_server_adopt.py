"""`server_adopt.lua` against a real Valkey: a life goes on only where its data certainly comes from."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.fanout.redis.connection import Word
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import SERVER_ADOPT, SERVER_ENSURE
from tannoy.shared.keyspace import Keyspace

from tests.support.valkey import Valkey

SERVER = Keyspace("contract").server(0)
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
    """As every new connection asks for it."""
    known, _ = await run(valkey, SERVER_ENSURE, 5500)
    return bytes(known)


async def come_from(valkey: Valkey, former: str) -> bytes:
    """A partition with a life, as MIGRATE has brought it from the server with that replication id."""
    known = await life(valkey)
    await valkey.run("HSET", SERVER, "id", former)
    return known


async def test_a_life_that_is_adopted_goes_on(valkey: Valkey) -> None:
    known = await come_from(valkey, FORMER)
    assert await run(valkey, SERVER_ADOPT, FORMER, await own_id(valkey)) == 1
    assert await life(valkey) == known


async def test_without_it_a_new_life_begins(valkey: Valkey) -> None:
    known = await come_from(valkey, FORMER)
    assert await life(valkey) != known


async def test_the_second_one_to_adopt_changes_nothing(valkey: Valkey) -> None:
    known = await come_from(valkey, FORMER)
    for _ in range(2):
        assert await run(valkey, SERVER_ADOPT, FORMER, await own_id(valkey)) == 1
    assert await life(valkey) == known


async def test_what_comes_from_elsewhere_is_not_adopted(valkey: Valkey) -> None:
    known = await come_from(valkey, "b" * 40)
    assert await run(valkey, SERVER_ADOPT, FORMER, await own_id(valkey)) == 0
    assert await life(valkey) != known


async def test_a_server_that_has_become_another_one_adopts_nothing(valkey: Valkey) -> None:
    known = await come_from(valkey, FORMER)
    before = await own_id(valkey)
    await valkey.run("REPLICAOF", "127.0.0.1", "1")
    await valkey.run("REPLICAOF", "NO", "ONE")
    assert await own_id(valkey) != before
    assert await run(valkey, SERVER_ADOPT, FORMER, before) == 0
    assert await life(valkey) != known


async def test_a_partition_that_came_without_its_data_has_no_life_to_adopt(valkey: Valkey) -> None:
    assert await run(valkey, SERVER_ADOPT, FORMER, await own_id(valkey)) == 0
    assert await valkey.run("EXISTS", SERVER) == 0
