"""Commands to one server: written over one connection after another, all of a loop turn in one write.

It gives commands no deadline and does not count their bytes. Who hands them over does, once for each command, whatever
servers it is sent to: `pipeline.py` for one server, `cluster/pipeline.py` for all masters of a Redis Cluster.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic

from ...shared.errors import TannoyError
from .connection import RedisConnection, Reply, pack
from .errors import CommandFailed, RedisError, not_confirmed
from .in_flight import OVERTAKEN, C, overtaken
from .opening import connect
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


class CommandWriter(Generic[C]):
    """Commands to one server, or to the master that Sentinels name. Needs `run` running.

    For each command either `on_answered` is called, with the value that Redis has replied with, or `on_failed`: once,
    also if nobody waits for it any more. What becomes of its future is left to them.

    `scripts` are loaded on each new connection. Then `on_connected` is called, before all other commands; if it raises,
    the connection is closed. `on_state` is called with the new state whenever `connected` changes.
    """

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        scripts: tuple[Script, ...],
        on_answered: Callable[[C, Reply], None],
        on_failed: Callable[[C, CommandFailed], None],
        on_connected: Callable[[RedisConnection], Awaitable[None]] | None = None,
        on_state: Callable[[bool], None] = lambda connected: None,
    ) -> None:
        self.connected = asyncio.Event()
        """Set while Redis takes commands."""
        self.connection: RedisConnection | None = None
        """The connection that takes commands now."""
        self._target = target
        self._name = name
        self._scripts = scripts
        self._on_answered = on_answered
        self._on_failed = on_failed
        self._on_connected = on_connected
        self._on_state = on_state
        self._unsent: list[C] = []
        self._flush_is_due = False
        self._takes_script_flags = True  # of the last connection
        self._to_repeat: list[C] = []  # whose script Redis had lost, in order; sent again before `_unsent`
        self._lost_scripts: set[Script] = set()  # to be loaded in front of them
        self._is_held = False  # nothing is sent until all that was sent before is answered

    # ---- commands

    def write(self, command: C) -> None:
        """Send it at the end of this loop turn, or as soon as there is a connection."""
        if not self._takes_script_flags:
            command.drop_script_flags()
        self._unsent.append(command)
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

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
        now = asyncio.get_running_loop().time()
        for command in unsent:
            if command.answer.done():
                self._give_back(command)
                continue
            if command.asking:
                connection.expect(_ignore)
                packed.append(_ASKING)
            command.connection, command.sent_at = connection, now
            connection.expect(partial(self._handle_reply, connection, command))
            packed.append(pack(command.words))
        if packed:
            connection.write(b"".join(packed))

    def _handle_reply(self, connection: RedisConnection, command: C, reply: Reply) -> None:
        if not isinstance(reply, TannoyError):
            if self._to_repeat:
                self._fail_overtaken_by(command)
            self._on_answered(command, reply)
        elif _lacks_script(reply) and command.script is not None and not command.answer.done():
            self._hold(connection, command, command.script)
        else:
            self._on_failed(command, not_confirmed(reply))

    # ---- a script that Redis has lost

    def _hold(self, connection: RedisConnection, command: C, script: Script) -> None:
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

    def _fail_overtaken_by(self, executed: C) -> None:
        for command in overtaken(self._to_repeat, executed):
            self._to_repeat.remove(command)
            self._on_failed(command, CommandFailed(OVERTAKEN))

    # ---- commands that are not sent

    def drop_done(self) -> None:
        """Give back the commands that nobody waits for any more, and that were not sent yet."""
        done = [command for command in (*self._to_repeat, *self._unsent) if command.answer.done()]
        if done:
            self._to_repeat = [command for command in self._to_repeat if not command.answer.done()]
            self._unsent = [command for command in self._unsent if not command.answer.done()]
        for command in done:
            self._give_back(command)

    def return_unsent(self) -> None:
        """Fail the commands that still wait for a connection; their CommandFailed says that they were not sent."""
        unsent, self._unsent, self._to_repeat = [*self._to_repeat, *self._unsent], [], []
        for command in unsent:
            self._give_back(command)

    def _give_back(self, command: C) -> None:
        self._on_failed(command, CommandFailed("the connection to Redis is lost", is_returned=True))

    # ---- the connection

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


def _lacks_script(reply: TannoyError) -> bool:
    return isinstance(reply, RedisError) and reply.code == "NOSCRIPT"


def _ignore(reply: Reply) -> None:
    """Of ASKING and SCRIPT LOAD: if it fails, the command behind it fails too, and says why."""
