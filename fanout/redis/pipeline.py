"""A connection for commands that have to be fast and reliable: one write per loop turn, one deadline, no retries.

A command that Redis has not answered within `command_timeout` fails with CommandFailed and never with a false success.
It may have been executed all the same, so a caller that repeats it has to make the repetition harmless. A command that
waits for a connection fails at the same deadline, and has certainly not been executed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...shared.durations import DurationStatistics
from .command_writer import CommandWriter
from .connection import RedisConnection, Reply, Word
from .errors import CommandFailed, RedisError
from .in_flight import COMMAND_TIMEOUT, InFlight, RedisCommand
from .script import Script
from .sentinel import Target


class CommandSender(Protocol):
    """What executes scripts and commands: a pipeline, or a connection that is being prepared."""

    def run_script(
        self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]
    ) -> "asyncio.Future[Reply]": ...
    def send(self, *words: Word) -> "asyncio.Future[Reply]": ...
    def batch_of(self, name: bytes) -> int:
        """Which names, made by `Keyspace`, may be keys of one call of a script: those with the same number here."""
        ...

    def connection_for(self, partition: int, /) -> RedisConnection | None:
        """The connection over which commands about a partition go now."""
        ...


class DirectCommands:
    """A CommandSender over one connection, without a queue. Scripts have to be loaded on it already.

    The futures raise RedisError or ConnectionLost.
    """

    def __init__(self, connection: RedisConnection) -> None:
        self.send = connection.send
        self._connection = connection

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        script = script if self._connection.takes_script_flags else script.plain
        return self.send(*script.call(keys, arguments))

    def batch_of(self, name: bytes) -> int:
        """One server has all keys."""
        return 0

    def connection_for(self, partition: int) -> RedisConnection | None:
        return self._connection


OnConnected = Callable[[CommandSender, Sequence[int]], Awaitable[None]]
"""(commands, partitions): called on each new connection, before all other commands to the server of these partitions.

Raises what `commands` raises.
"""


OnRefused = Callable[[CommandSender, tuple[Word, ...], RedisError], None]
"""(the pipeline, words of a command, what Redis says): called when Redis has refused a command."""


def ignore_refusal(commands: CommandSender, words: tuple[Word, ...], refusal: RedisError) -> None:
    """An OnRefused for a pipeline whose callers alone act on what is refused."""


@dataclass(frozen=True, slots=True)
class PipelineStatistics:
    connected: bool
    """Redis takes commands now."""
    answered: int
    """Commands that Redis has answered with a value."""
    failed: int
    """Commands that failed: refused by Redis, not answered in time, or beyond the bound on bytes in flight."""
    in_flight: int
    """Commands that wait for their answer now."""
    in_flight_bytes: int
    """Bytes of these commands."""
    script_calls: Mapping[str, int]
    """Calls of each script so far, by its name; a batch of calls is one."""
    durations: DurationStatistics
    """Of the commands that Redis has answered with a value."""


class AnyPipeline(CommandSender, Protocol):
    """A pipeline to one server, or to all masters of a Redis Cluster: its users need not know which.

    For a cluster the second word of `send` and the first key of `run_script` have to be names made by `Keyspace`.
    All futures raise CommandFailed.
    """

    connected: asyncio.Event
    command_timeout: float
    """Seconds after which a command that Redis has not answered fails."""

    def publish(self, channel: bytes, payload: bytes) -> "asyncio.Future[Reply]": ...
    async def run(self) -> None: ...
    def statistics(self) -> PipelineStatistics: ...


class Pipeline:
    """Commands to one server, or to the master that Sentinels name. Needs `run` running.

    `scripts` are loaded on each new connection. Then `on_connected` is called, before all other commands; if it raises,
    the connection is closed. `command_timeout` is in seconds.
    """

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        scripts: tuple[Script, ...],
        on_connected: Callable[[RedisConnection], Awaitable[None]] | None = None,
        on_refused: OnRefused = ignore_refusal,
        command_timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        self.command_timeout = command_timeout
        self._on_refused = on_refused
        self._writer: CommandWriter[RedisCommand] = CommandWriter(
            target,
            name=name,
            scripts=scripts,
            on_answered=self._handle_answer,
            on_failed=self._handle_failure,
            on_connected=on_connected,
        )
        self._in_flight: InFlight[RedisCommand] = InFlight(self._writer.drop_done)
        self.connected = self._writer.connected
        """Set while Redis takes commands."""

    @property
    def connection(self) -> RedisConnection | None:
        """The connection that takes commands now."""
        return self._writer.connection

    def connection_for(self, partition: int) -> RedisConnection | None:
        return self.connection

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        """Send EVALSHA. The future raises CommandFailed."""
        return self._accept(script.call(keys, arguments), script)

    def send(self, *words: Word) -> asyncio.Future[Reply]:
        """Send any command. The future raises CommandFailed."""
        return self._accept(words, None)

    def publish(self, channel: bytes, payload: bytes) -> asyncio.Future[Reply]:
        """Send PUBLISH. The result is the number of links that received it. The future raises CommandFailed."""
        return self._accept(("PUBLISH", channel, payload), None)

    def batch_of(self, name: bytes) -> int:
        """One server has all keys."""
        return 0

    def _accept(self, words: tuple[Word, ...], script: Script | None) -> asyncio.Future[Reply]:
        command = RedisCommand(words, script, self.command_timeout)
        if self._in_flight.admit(command):
            self._writer.write(command)
        return command.answer

    def _handle_answer(self, command: RedisCommand, reply: Reply) -> None:
        self._in_flight.answer(command, reply)
        self._in_flight.forget_done()

    def _handle_failure(self, command: RedisCommand, error: CommandFailed) -> None:
        self._in_flight.fail(command, error)
        self._in_flight.forget_done()
        if error.refusal is not None:
            self._on_refused(self, command.words, error.refusal)

    async def run(self) -> None:
        """Keep a connection for ever. Raises only what no retry can mend."""
        await self._writer.run()

    def statistics(self) -> PipelineStatistics:
        commands = self._in_flight.statistics()
        return PipelineStatistics(
            connected=self.connected.is_set(),
            answered=commands.answered,
            failed=commands.failed,
            in_flight=commands.in_flight,
            in_flight_bytes=commands.in_flight_bytes,
            script_calls=commands.script_calls,
            durations=commands.durations,
        )
