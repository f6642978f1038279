"""Scripts with flags on a real Valkey that takes them, and on one that refuses them, as Dragonfly does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.redis.address import RedisAddress
from tannoy.fanout.redis.errors import RedisError
from tannoy.fanout.redis.opening import connect
from tannoy.fanout.redis.pipeline import DirectCommands, Pipeline
from tannoy.fanout.redis.script import Script, load_scripts
from tannoy.fanout.scripts import PUBLISH_ONCE, SERVER_ENSURE

from tests.support.managed_redis import refusing_script_flags
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

SCRIPTS = (SERVER_ENSURE, PUBLISH_ONCE)
KEY = (b"server",)


@asynccontextmanager
async def running(pipeline: Pipeline) -> AsyncGenerator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pipeline.run())
        yield
        task.cancel()


@pytest.fixture
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as valkey:
        yield valkey


@pytest.fixture(params=[True, False], ids=["flags", "no flags"])
async def server(request: pytest.FixtureRequest, valkey: Valkey) -> AsyncGenerator[tuple[RedisAddress, bool]]:
    """Its address, and whether it takes the flags of scripts."""
    if request.param:
        yield valkey.address, True
        return
    async with refusing_script_flags(valkey.port) as port:
        yield RedisAddress("127.0.0.1", port, None, None, 0, None), False


async def test_scripts_are_loaded_and_run_whether_their_flags_are_taken_or_not(
    server: tuple[RedisAddress, bool],
) -> None:
    address, takes_flags = server
    connection = await connect(address, name="test", on_pushes=lambda _: None, timeout=PATIENCE)
    try:
        await load_scripts(connection, SCRIPTS)
        assert connection.takes_script_flags is takes_flags
        life, *_ = await DirectCommands(connection).run_script(SERVER_ENSURE, KEY, (0,))
        assert life
    finally:
        connection.abort()
        await connection.lost


async def test_a_script_that_was_called_before_the_server_was_known_runs(server: tuple[RedisAddress, bool]) -> None:
    address, _ = server
    pipeline = Pipeline(address, name="test", scripts=SCRIPTS, command_timeout=PATIENCE)
    called_early = pipeline.run_script(SERVER_ENSURE, KEY, (0,))
    async with running(pipeline):
        first, *_ = await called_early
        second, *_ = await pipeline.run_script(SERVER_ENSURE, KEY, (0,))
    assert first == second


async def test_a_script_that_the_server_has_lost_runs(valkey: Valkey, server: tuple[RedisAddress, bool]) -> None:
    address, _ = server
    pipeline = Pipeline(address, name="test", scripts=SCRIPTS, command_timeout=PATIENCE)
    async with running(pipeline):
        await pipeline.connected.wait()
        await valkey.run("SCRIPT", "FLUSH")
        life, *_ = await pipeline.run_script(SERVER_ENSURE, KEY, (0,))
    assert life


async def test_a_script_without_flags_that_is_refused_is_an_error(valkey: Valkey) -> None:
    connection = await connect(valkey.address, name="test", on_pushes=lambda _: None, timeout=PATIENCE)
    try:
        with pytest.raises(RedisError, match="compiling"):
            await load_scripts(connection, (Script(b"no Lua", "", "none"), *SCRIPTS))
        assert connection.takes_script_flags
    finally:
        connection.abort()
        await connection.lost
