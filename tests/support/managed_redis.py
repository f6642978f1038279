"""Managed Redis, emulated: a real server from which is taken what a service of a cloud vendor leaves out.

What a vendor's own engine does otherwise is not in it: docs/redis.md says of each service how it was tried.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import hiredis
from tannoy.fanout.redis.connection import pack

from tests.support.redis_servers import RedisServer, binary_of

_NO_ROLE_INFO_SELECT = ('rename-command ROLE ""', 'rename-command INFO ""', 'rename-command SELECT ""')
_INFO_WITHOUT_FIELDS = ('rename-command INFO ""', "rename-command ECHO INFO")
"""`INFO replication` replies `replication`: a heading, and no field."""
_NO_NO_EVICT = "user default on nopass ~* &* +@all -client|no-evict"
_FEW_COMMANDS = "user default on nopass ~* &* +@all -client|no-evict -role -info -cluster -config"


@asynccontextmanager
async def _server(server: str, *configuration: str) -> AsyncGenerator[str]:
    async with RedisServer(binary_of(server), *configuration) as redis:
        yield redis.url


@asynccontextmanager
async def _without_script_flags(server: str) -> AsyncGenerator[str]:
    async with RedisServer(binary_of(server), _NO_NO_EVICT) as redis, refusing_script_flags(redis.port) as port:
        yield f"redis://127.0.0.1:{port}"


EMULATIONS: dict[str, Callable[[str], AbstractAsyncContextManager[str]]] = {
    "redis-cloud": lambda server: _server(server, *_NO_ROLE_INFO_SELECT, _NO_NO_EVICT),
    "upstash": lambda server: _server(server, *_INFO_WITHOUT_FIELDS, 'rename-command ROLE ""', _NO_NO_EVICT),
    "memorystore": lambda server: _server(server, _FEW_COMMANDS),
    "dragonfly": _without_script_flags,
}
"""By the service; each is given the server to emulate it with (`SERVERS`), and gives a URL."""


@asynccontextmanager
async def refusing_script_flags(port: int) -> AsyncGenerator[int]:
    """A port in front of a Redis, where `SCRIPT LOAD` refuses every script that declares flags.

    The command goes on with a flag that Redis does not know, so that its error has its place among the replies.
    """

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", port)
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        replies = asyncio.create_task(_copy(from_redis, writer))
        commands = hiredis.Reader()
        try:
            while data := await reader.read(65_536):
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    to_redis.write(pack(_refused(command)))
        except (ConnectionError, asyncio.CancelledError):
            pass  # one of the two has ended the connection, or the test has ended
        finally:
            to_redis.close()
            writer.close()
            replies.cancel()
            await asyncio.gather(replies, return_exceptions=True)
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.close()


def _refused(command: list[bytes]) -> list[bytes]:
    match command:
        case [b"SCRIPT", b"LOAD", source] if source.startswith(b"#!"):
            return [b"SCRIPT", b"LOAD", b"#!lua flags=unknown\nreturn 1"]
        case _:
            return command
