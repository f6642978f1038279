"""A connection for commands that have to be fast and reliable: one write per loop turn, one deadline, no retries.

A command that Redis has not answered within `command_timeout` fails with CommandFailed and never with a false success.
It may have been executed all the same, so a caller that repeats it has to make the repetition harmless. A command that
waits for a connection fails at the same deadline, and has certainly not been executed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ...shared.errors import TannoyError
from .connection import RedisConnection, Reply, Word, connect, pack
from .errors import CommandFailed, RedisError
from .in_flight import COMMAND_TIMEOUT, InFlight, RedisCommand
from .reconnect import keep_connected
from .script import Script, load_scripts
from .sentinel import Target

CONNECT_TIMEOUT = 2.0
"""Seconds to connect and log in, and again to load the scripts.

Behind Sentinels and with TLS it takes up to eight round trips to connect, each of which may take 0.2 seconds.
"""
PREPARE_TIMEOUT = 3.0
"""Seconds for `on_connected`, which may have to state all leases of a node."""
BACKOFF_BASE = 0.05
BACKOFF_CAP = 1.0
"""Seconds between two attempts to connect: commands fail after half a second, so the pause stays about as short."""

_ASKING = pack(("ASKING",))


class _Command(RedisCommand):
    __slots__ = ("asking",)

    def __init__(self, words: tuple[Word, ...], script: Script | None, timeout: float, asking: bool) -> None:
        super().__init__(words, script, timeout)
        self.asking = asking


class CommandSender(Protocol):
    """What executes scripts and commands: a pipeline, or a connection that is being prepared."""

    def run_script(
        self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]
    ) -> "asyncio.Future[Reply]": ...
    def send(self, *words: Word) -> "asyncio.Future[Reply]": ...


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


OnConnected = Callable[[CommandSender, Sequence[int]], Awaitable[None]]
"""(commands, partitions): called on each new connection, before all other commands to the server of these partitions.

Raises what `commands` raises.
"""


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
    the connection is closed. `on_state` is called with the new state whenever `connected` changes. `command_timeout` is
    in seconds.
    """

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        scripts: tuple[Script, ...],
        on_connected: Callable[[RedisConnection], Awaitable[None]] | None = None,
        on_state: Callable[[bool], None] = lambda connected: None,
        command_timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        self.connected = asyncio.Event()
        """Set while Redis takes commands."""
        self.command_timeout = command_timeout
        self._target = target
        self._name = name
        self._scripts = scripts
        self._on_connected = on_connected
        self._on_state = on_state
        self.connection: RedisConnection | None = None
        """The connection that takes commands now."""
        self._unsent: list[_Command] = []
        self._in_flight: InFlight[_Command] = InFlight(self._replace_connection)
        self._flush_is_due = False
        self._takes_script_flags = True  # of the last connection
        self._to_repeat: list[_Command] = []  # whose script Redis had lost, in order; sent again before `_unsent`
        self._lost_scripts: set[Script] = set()  # to be loaded in front of them
        self._is_held = False  # nothing is sent until all that was sent before is answered

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        """Send EVALSHA. The future raises CommandFailed."""
        return self.submit(script.call(keys, arguments), script)

    def send(self, *words: Word) -> asyncio.Future[Reply]:
        """Send any command. The future raises CommandFailed."""
        return self.submit(words, None)

    def publish(self, channel: bytes, payload: bytes) -> asyncio.Future[Reply]:
        """Send PUBLISH. The result is the number of links that received it. The future raises CommandFailed."""
        return self.submit(("PUBLISH", channel, payload), None)

    def submit(self, words: tuple[Word, ...], script: Script | None, *, asking: bool = False) -> asyncio.Future[Reply]:
        """Send a command at the end of this loop turn; `script` is the one that its EVALSHA calls.

        `asking` puts ASKING in front of it, for the server of a Redis Cluster to which the slot is being migrated.
        """
        command = _Command(words, script, self.command_timeout, asking)
        if not self._takes_script_flags:
            command.drop_script_flags()
        if self._in_flight.admit(command):
            self._unsent.append(command)
            if not self._flush_is_due:
                self._flush_is_due = True
                asyncio.get_running_loop().call_soon(self._flush)
        return command.answer

    def _flush(self) -> None:
        self._flush_is_due = False
        connection = self.connection
        if connection is None or connection.lost.done() or self._is_held:
            return
        unsent, self._unsent = self._unsent, []
        packed: list[bytes] = []
        while self._lost_scripts:  # in the same write as the commands, so that hardly anything can come between
            connection.expect(_ignore)
            packed.append(pack(("SCRIPT", "LOAD", self._lost_scripts.pop().source)))
        for command in unsent:
            if not command.answer.done():
                if command.asking:
                    connection.expect(_ignore)
                    packed.append(_ASKING)
                connection.expect(partial(self._handle_reply, connection, command))
                packed.append(pack(command.words))
        if packed:
            connection.write(b"".join(packed))

    def _handle_reply(self, connection: RedisConnection, command: _Command, reply: Reply) -> None:
        if command.answer.done():
            return
        if not isinstance(reply, TannoyError):
            self._in_flight.answer(command, reply)
            if self._to_repeat:
                self._in_flight.fail_overtaken(self._to_repeat, command)
        elif isinstance(reply, RedisError) and command.script is not None and reply.code == "NOSCRIPT":
            self._hold(connection, command, command.script)
        else:
            refusal = reply if isinstance(reply, RedisError) else None
            self._in_flight.fail(command, CommandFailed(f"the bus did not confirm: {_reason(reply)}", refusal=refusal))
        self._in_flight.forget_done()

    def _hold(self, connection: RedisConnection, command: _Command, script: Script) -> None:
        """Redis had lost the script, so the command has not run, and to run it now is not a retry.

        Nothing is sent until all that was sent behind it is answered too: then what was refused goes first.
        """
        if not connection.takes_script_flags:  # the command was accepted before this was known
            command.drop_script_flags()
            script = script.plain
        self._to_repeat.append(command)
        self._lost_scripts.add(script)
        if not self._is_held:
            self._is_held = True
            connection.send("PING").add_done_callback(self._resume)

    def _resume(self, answer: "asyncio.Future[Reply]") -> None:
        if not answer.cancelled():
            answer.exception()  # retrieved: the commands that follow report any failure
        self._is_held = False
        self._unsent[:0], self._to_repeat = self._to_repeat, []
        self._flush()

    def _replace_connection(self) -> None:
        """A reply is overdue. Those behind it would be late too: the next connection answers sooner.

        But not where part of a reply has come: a large one is late alone, and what else was asked for is not lost with
        it. If the rest does not come, RoleWatch ends the connection.
        """
        self._unsent = [command for command in self._unsent if not command.answer.done()]
        self._to_repeat = [command for command in self._to_repeat if not command.answer.done()]
        if self.connection is not None and not self.connection.is_receiving:
            self.connection.abort()

    def return_unsent(self) -> None:
        """Fail the commands that still wait for a connection; their CommandFailed says that they were not sent."""
        unsent, self._unsent, self._to_repeat = [*self._to_repeat, *self._unsent], [], []
        for command in unsent:
            self._in_flight.fail(command, CommandFailed("the connection to Redis is lost", is_returned=True))
        self._in_flight.forget_done()

    async def run(self) -> None:
        """Keep a connection for ever. Raises only what no retry can mend."""
        await keep_connected(
            self._run_connection,
            target=self._target,
            what="Redis takes no commands",
            base=BACKOFF_BASE,
            cap=BACKOFF_CAP,
        )

    async def _run_connection(self) -> bool:
        connection = await connect(
            self._target, name=self._name, on_pushes=lambda pushes: None, timeout=CONNECT_TIMEOUT
        )
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await load_scripts(connection, self._scripts)
            self._takes_script_flags = connection.takes_script_flags
            if self._on_connected is not None:
                async with asyncio.timeout(PREPARE_TIMEOUT):
                    await self._on_connected(connection)
            self.connection = connection
            self.connected.set()
            self._on_state(True)
            self._flush()
            await connection.lost
            return True
        finally:
            self.connection = None
            if self.connected.is_set():
                self.connected.clear()
                self._on_state(False)
            connection.abort()

    def statistics(self) -> PipelineStatistics:
        commands = self._in_flight.statistics()
        return PipelineStatistics(
            connected=self.connected.is_set(),
            answered=commands.answered,
            failed=commands.failed,
            in_flight=commands.in_flight,
            in_flight_bytes=commands.in_flight_bytes,
        )


def _reason(error: TannoyError) -> str:
    """Clients read it, so a refusal is not told in Redis' own words, which name users, keys and scripts."""
    return error.reason if isinstance(error, RedisError) else "the connection to Redis was lost"


def _ignore(reply: Reply) -> None:
    """Of ASKING and SCRIPT LOAD: if it fails, the command behind it fails too, and says why."""
