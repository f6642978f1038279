"""A Redis in memory for the connections of the product: it answers each command with what the test has set."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import hiredis
from tannoy.fanout.redis.address import RedisAddress
from tannoy.fanout.redis.connection import Pushes, RedisConnection

NOWHERE = RedisAddress("nowhere.invalid", 6379, None, None, 0, None)


def read_commands(data: bytes) -> list[list[bytes]]:
    """The commands that a Redis would read from these bytes."""
    reader = hiredis.Reader()
    reader.feed(data)
    commands: list[list[bytes]] = []
    while (command := reader.gets()) is not False:
        commands.append(cast("list[bytes]", command))
    return commands


class MemoryRedis:
    """A Redis to `connect` that is a function: command in, RESP out, on the event loop's next turn.

    It answers every command by `replies[verb]`, or with 1; with `mute`, not at all.
    """

    def __init__(self) -> None:
        self.commands: list[list[bytes]] = []
        self.reads: list[int] = []
        """The number of commands in each write."""
        self.replies: dict[bytes, bytes] = {}
        self.mute = False
        self.refuses_connections = False
        self.connection_attempts = 0
        self._transport: _MemoryTransport | None = None

    async def connect(
        self, address: RedisAddress, *, name: str, on_pushes: Callable[[Pushes], None], timeout: float
    ) -> RedisConnection:
        """Replaces `tannoy.fanout.redis.connection.connect` in tests."""
        self.connection_attempts += 1
        if self.refuses_connections:
            raise ConnectionRefusedError("connection refused")
        wire = RedisConnection(on_pushes)
        self._transport = _MemoryTransport(self, wire)
        wire.connection_made(self._transport)
        return wire

    def received(self, transport: "_MemoryTransport", data: bytes) -> None:
        commands = read_commands(data)
        self.reads.append(len(commands))
        self.commands += commands
        for command in commands:
            if not self.mute:
                transport.deliver(self.reply(command))

    def reply(self, command: list[bytes]) -> bytes:
        return self.replies.get(command[0], b":1\r\n")

    def push(self, *words: bytes) -> None:
        """Push a message to the client, as to a subscriber."""
        self.deliver(b">%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))

    def deliver(self, replies: bytes) -> None:
        """Reply to commands that came while `mute` was set."""
        if self._transport is not None:
            self._transport.deliver(replies)

    def break_connection(self) -> None:
        assert self._transport is not None
        self._transport.abort()

    def arguments_of(self, verb: str) -> list[list[bytes]]:
        """The arguments of each command with this verb."""
        return [command[1:] for command in self.commands if command[0] == verb.encode()]


class _MemoryTransport(asyncio.Transport):
    def __init__(self, server: MemoryRedis, wire: RedisConnection) -> None:
        super().__init__()
        self._server = server
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._closing = False

    def write(self, data: Any) -> None:
        if not self._closing:
            self._server.received(self, bytes(data))

    def deliver(self, data: bytes) -> None:
        self._loop.call_soon(self._bring, data)

    def _bring(self, data: bytes) -> None:
        if not self._closing:
            self._wire.data_received(data)

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._wire.connection_lost, None)

    def is_closing(self) -> bool:
        return self._closing
