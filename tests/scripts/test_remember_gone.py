"""`remember_gone.lua` on a real Valkey: entries of one owner, and owners of one partition, within bounds."""

import itertools
from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.scripts import REMEMBER_GONE

from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


class GoneLog:
    """The entries of the owners of one partition: three for each, and five owners."""

    def __init__(self, valkey: Valkey) -> None:
        self.valkey = valkey
        self.prefix = f"gone-{next(_numbers)}"
        self.owners = f"{self.prefix}:owners"

    async def remember(self, owner: str, entry: str) -> list[bytes]:
        keys = (f"{self.prefix}:{owner}", self.owners)
        removed: list[bytes] = await self.valkey.run(
            "EVAL", REMEMBER_GONE.source, "2", *keys, entry, "3", "1000", owner, "5"
        )
        return removed

    async def entries(self, owner: str) -> list[bytes]:
        found: list[bytes] = await self.valkey.run("LRANGE", f"{self.prefix}:{owner}", "0", "-1")
        return found


@pytest.fixture
def log(valkey: Valkey) -> GoneLog:
    return GoneLog(valkey)


async def test_the_newest_entries_of_an_owner_are_kept(log: GoneLog) -> None:
    for number in range(5):
        assert await log.remember("user:ada", f"e{number}") == []
    assert await log.entries("user:ada") == [b"e4", b"e3", b"e2"]


async def test_an_entry_that_is_sent_twice_is_kept_once(log: GoneLog) -> None:
    for _ in range(2):
        assert await log.remember("user:ada", "e1") == []
    assert await log.entries("user:ada") == [b"e1"]


async def test_the_owner_whose_last_entry_is_oldest_is_one_too_many(log: GoneLog) -> None:
    for at, owner in enumerate(("a", "b", "c", "d", "e")):
        await log.remember(owner, "e1")
        await log.valkey.run("ZADD", log.owners, str(at + 1), owner)
    await log.remember("a", "e2")
    assert await log.remember("f", "e1") == [b"b"]
    assert set(await log.valkey.run("ZRANGE", log.owners, "0", "-1")) == {b"a", b"c", b"d", b"e", b"f"}


async def test_all_that_is_remembered_expires(log: GoneLog) -> None:
    await log.remember("user:ada", "e1")
    for key in (f"{log.prefix}:user:ada", log.owners):
        assert 1000 - PATIENCE <= await log.valkey.run("TTL", key) <= 1000
