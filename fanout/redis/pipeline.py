"""A connection for commands that have to be fast and honest: one pipeline per loop turn, one deadline, no retries.

A command that Redis has not answered within `command_timeout` fails with `Unavailable`, never with a false ok: it may
have been carried out, and whoever repeats it has to make that harmless. What is queued for a connection that does
not come fails at the same deadline, and certainly has not been carried out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from ...shared.errors import MalformedBytes, TannoyError, Unavailable
from .address import Address
from .connection import RedisConnection, Reply, Word, connect, pack
from .errors import CommandFailed, RedisError
from .in_flight import DEADLINE, InFlight, RedisCommand
from .reconnect import keep_connected
from .script import Script

CONNECT_TIMEOUT = 1.0
GREETING_TIMEOUT = 3.0
BACKOFF_BASE = 0.05
BACKOFF_CAP = 1.0

_ASKING = pack(("ASKING",))

T = TypeVar("T")


class _Command(RedisCommand):
    __slots__ = ("asking",)

    def __init__(self, words: tuple[Word, ...], script: Script | None, timeout: float, asking: bool) -> None:
        super().__init__(words, script, timeout)
        self.asking = asking


class CommandSender(Protocol):
    """Takes scripts and commands: a pipeline, or a connection that is just being greeted."""

    def run_script(
        self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]
    ) -> "asyncio.Future[Reply]": ...
    def send(self, *words: Word) -> "asyncio.Future[Reply]": ...


class DirectCommands:
    """A connection before all other commands, as Commands. Its scripts have just been loaded."""

    def __init__(self, wire: RedisConnection) -> None:
        self.send = wire.command

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        return self.send(*script.call(keys, arguments))


Greet = Callable[[CommandSender, Sequence[int]], Awaitable[None]]
"""(bus, partitions): before anything else is said to the server of these partitions. Raises what `bus` raises."""


class AnyPipeline(CommandSender, Protocol):
    """To one server, or to all masters of a cluster: whoever uses it can't tell.

    `send` then needs its second word, and `run_script` its first key, to be a name out of `Keyspace`.
    """

    connected: asyncio.Event
    command_timeout: float
    """Seconds after which a command that Redis has not answered fails with Unavailable."""

    def publish(self, channel: bytes, payload: bytes) -> "asyncio.Future[Reply]": ...
    async def run(self) -> None: ...
    def statistics(self) -> dict[str, int | bool]: ...


class Pipeline:
    """Needs `run` running. `scripts` are loaded on every new connection.

    `greet` has the connection to itself before any other command; what it raises costs the connection. `on_connected`
    is told of every change of `connected`. `command_timeout`: seconds that a command waits for its answer.
    """

    def __init__(
        self,
        address: Address,
        *,
        name: str,
        scripts: tuple[Script, ...],
        greet: Callable[[RedisConnection], Awaitable[None]] | None = None,
        on_connected: Callable[[bool], None] = lambda connected: None,
        command_timeout: float = DEADLINE,
    ) -> None:
        self.connected = asyncio.Event()
        """Set while Redis takes commands."""
        self.command_timeout = command_timeout
        self._address = address
        self._name = name
        self._scripts = scripts
        self._greet = greet
        self._on_connected = on_connected
        self._wire: RedisConnection | None = None
        self._unsent: list[_Command] = []
        self._under_way: InFlight[_Command] = InFlight(self._drop_wire)
        self._flush_is_due = False

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        """EVALSHA. The future raises CommandFailed."""
        return self.submit(script.call(keys, arguments), script)

    def send(self, *words: Word) -> asyncio.Future[Reply]:
        """Any command. The future raises CommandFailed."""
        return self.submit(words, None)

    def publish(self, channel: bytes, payload: bytes) -> asyncio.Future[Reply]:
        """PUBLISH. The result is the number of links that got it."""
        return self.submit(("PUBLISH", channel, payload), None)

    def submit(self, words: tuple[Word, ...], script: Script | None, *, asking: bool = False) -> asyncio.Future[Reply]:
        """`script`: the words are its EVALSHA. `asking`: of a cluster's server that is about to own the slot."""
        command = _Command(words, script, self.command_timeout, asking)
        if self._under_way.admit(command):
            self._unsent.append(command)
            if not self._flush_is_due:
                self._flush_is_due = True
                asyncio.get_running_loop().call_soon(self._flush)
        return command.answer

    def _flush(self) -> None:
        self._flush_is_due = False
        wire = self._wire
        if wire is None or wire.lost.done():
            return
        unsent, self._unsent = self._unsent, []
        packed: list[bytes] = []
        for command in unsent:
            if not command.answer.done():
                if command.asking:
                    wire.expect(_ignore)
                    packed.append(_ASKING)
                wire.expect(partial(self._answered, wire, command))
                packed.append(pack(command.words))
        if packed:
            wire.write(b"".join(packed))

    def _answered(self, wire: RedisConnection, command: _Command, reply: Reply) -> None:
        if command.answer.done():
            return
        if not isinstance(reply, TannoyError):
            self._under_way.answer(command, reply)
        elif isinstance(reply, RedisError) and command.script is not None and reply.code == "NOSCRIPT":
            # It has not run, so running it now is no retry.
            wire.command("SCRIPT", "LOAD", command.script.source).add_done_callback(_look_at)
            self._unsent.insert(0, command)
            self._flush()
        else:
            refusal = reply if isinstance(reply, RedisError) else None
            self._under_way.fail(command, CommandFailed(f"the bus did not confirm: {reply}", refusal=refusal))
        self._under_way.forget_done()

    def _drop_wire(self) -> None:
        """Something was not answered in time: the answers would come too late to tell whose they are."""
        self._unsent = [command for command in self._unsent if not command.answer.done()]
        if self._wire is not None:
            self._wire.abort()

    def give_back_unsent(self) -> None:
        """Fail all commands that still wait for a connection, as not sent."""
        unsent, self._unsent = self._unsent, []
        for command in unsent:
            self._under_way.fail(command, CommandFailed("the connection to Redis is lost", was_sent=False))
        self._under_way.forget_done()

    async def run(self) -> None:
        """Keep a connection for ever. Only what no retry can mend gets out of here."""
        await keep_connected(
            self._one_connection,
            address=self._address,
            what="Redis takes no commands",
            base=BACKOFF_BASE,
            cap=BACKOFF_CAP,
        )

    async def _one_connection(self) -> bool:
        wire = await connect(self._address, name=self._name, on_pushes=lambda pushes: None, timeout=CONNECT_TIMEOUT)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                for script in self._scripts:
                    await wire.command("SCRIPT", "LOAD", script.source)
            if self._greet is not None:
                async with asyncio.timeout(GREETING_TIMEOUT):
                    await self._greet(wire)
            self._wire = wire
            self.connected.set()
            self._on_connected(True)
            self._flush()
            await wire.lost
            return True
        finally:
            self._wire = None
            if self.connected.is_set():
                self.connected.clear()
                self._on_connected(False)
            wire.abort()

    def statistics(self) -> dict[str, int | bool]:
        return {"connected": self.connected.is_set(), **self._under_way.statistics()}


def _ignore(reply: Reply) -> None:
    """Of ASKING: the command behind it tells whatever there is to tell."""


def _look_at(done: "asyncio.Future[Reply]") -> None:
    """The command that follows tells of any failure; this only marks the exception as seen."""
    if not done.cancelled():
        done.exception()


def read_later(asked: "asyncio.Future[Reply]", read: Callable[[Reply], T]) -> "asyncio.Future[T]":
    """What `read` makes of the answer. Raises Unavailable, also where `read` can't make anything of it."""
    result: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def done(asked: "asyncio.Future[Reply]") -> None:
        error = asked.exception()
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
            return
        try:
            result.set_result(read(asked.result()))
        except (Unavailable, MalformedBytes, ValueError) as refusal:
            result.set_exception(Unavailable(str(refusal)))

    asked.add_done_callback(done)
    return result
