"""Connections of the product to one server, for tests of how it gets in."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.redis.address import RedisAddress, parse_address
from tannoy.fanout.redis.connection import RedisConnection
from tannoy.fanout.redis.credentials import load_credentials
from tannoy.fanout.redis.opening import connect
from tannoy.fanout.redis.sentinel import MasterDiscovery

from tests.support.waiting import PATIENCE


def server_at(url: str, credentials: str | None = None) -> RedisAddress:
    address = parse_address(url, None if credentials is None else load_credentials(credentials))
    assert isinstance(address, RedisAddress)
    return address


@asynccontextmanager
async def connected(address: RedisAddress | MasterDiscovery) -> AsyncGenerator[RedisConnection]:
    connection = await connect(address, name="test", on_pushes=lambda _: None, timeout=PATIENCE)
    try:
        yield connection
    finally:
        connection.abort()
