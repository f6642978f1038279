"""A connection for commands that have to be fast and honest: one pipeline per loop turn, one deadline, no retries.

A command that Redis has not answered within `DEADLINE` fails with `Unavailable`, never with a false ok: it may have
been carried out, and whoever repeats it has to make that harmless. What is queued for a connection that does not come
fails at the same deadline, and certainly has not been carried out.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from ..shared.errors import TannoyError, Unavailable
from .reconnect import keep_connected
from .scripts import Script
from .wire import RedisAddress, Reply, ServerRefused, Wire, Word, dial, pack

DEADLINE = 0.45
"""Seconds; the contract promises an answer within 0.5."""
CONNECT_TIMEOUT = 1.0
GREETING_TIMEOUT = 3.0
BACKOFF_BASE = 0.05
BACKOFF_CAP = 1.0
UNANSWERED_MAX_BYTES = 32 * 1024 * 1024
"""Of commands under way at once. More than this is refused at the door."""
WORD_OVERHEAD_BYTES = 256
"""What a command weighs beyond its payload; so a flood of empty ones is bounded too."""

_NO_SCRIPT = "NOSCRIPT"


class _Command:
    """One command from the door to its answer."""

    __slots__ = ("answer", "deadline", "script", "size", "words")

    def __init__(self, words: tuple[Word, ...], script: Script | None, size: int, deadline: float) -> None:
        self.words = words
        self.script = script
        self.size = size
        self.deadline = deadline
        self.answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()


class Pipeline:
    """Needs `run` running. `scripts` are loaded on every new connection.

    `greet` has the connection to itself before any other command; what it raises costs the connection.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        name: str,
        scripts: tuple[Script, ...],
        greet: Callable[[Wire], Awaitable[None]] | None = None,
    ) -> None:
        self.connected = asyncio.Event()
        """Set while Redis takes commands."""
        self._address = address
        self._name = name
        self._scripts = scripts
        self._greet = greet
        self._wire: Wire | None = None
        self._unsent: list[_Command] = []
        self._under_way: deque[_Command] = deque()  # in the order of their deadlines
        self._under_way_bytes = 0
        self._flush_is_due = False
        self._watch: asyncio.TimerHandle | None = None
        self._answered_count = 0
        self._failed = 0

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        """EVALSHA. The future raises Unavailable."""
        payload = sum(len(word) for word in arguments if isinstance(word, bytes))
        return self._submit(script.call(keys, arguments), script, payload)

    def send(self, *words: Word) -> asyncio.Future[Reply]:
        """Any command. The future raises Unavailable."""
        return self._submit(words, None, sum(len(word) for word in words if isinstance(word, bytes)))

    def _submit(self, words: tuple[Word, ...], script: Script | None, payload: int) -> asyncio.Future[Reply]:
        loop, size = asyncio.get_running_loop(), payload + WORD_OVERHEAD_BYTES
        command = _Command(words, script, size, loop.time() + DEADLINE)
        if self._under_way_bytes + size > UNANSWERED_MAX_BYTES:
            self._fail(command, "the bus is overloaded: too much is still unconfirmed")
            return command.answer
        self._under_way.append(command)
        self._under_way_bytes += size
        self._unsent.append(command)
        if not self._flush_is_due:
            self._flush_is_due = True
            loop.call_soon(self._flush)
        if self._watch is None:
            self._watch = loop.call_at(command.deadline, self._check_deadlines)
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
                wire.expect(partial(self._answered, wire, command))
                packed.append(pack(command.words))
        if packed:
            wire.write(b"".join(packed))

    def _answered(self, wire: Wire, command: _Command, reply: Reply) -> None:
        if command.answer.done():
            return
        if not isinstance(reply, TannoyError):
            self._answered_count += 1
            command.answer.set_result(reply)
        elif isinstance(reply, ServerRefused) and command.script is not None and str(reply).startswith(_NO_SCRIPT):
            # It has not run, so running it now is no retry.
            wire.command("SCRIPT", "LOAD", command.script.source).add_done_callback(_look_at)
            self._unsent.insert(0, command)
            self._flush()
        else:
            self._fail(command, f"the bus did not confirm: {reply}")
        self._forget_done()

    def _fail(self, command: _Command, message: str) -> None:
        if not command.answer.done():
            self._failed += 1
            command.answer.set_exception(Unavailable(message))

    def _forget_done(self) -> None:
        under_way = self._under_way
        while under_way and under_way[0].answer.done():
            self._under_way_bytes -= under_way.popleft().size
        if not under_way and self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _check_deadlines(self) -> None:
        self._watch = None
        loop = asyncio.get_running_loop()
        overdue = False
        for command in self._under_way:
            if command.deadline > loop.time():
                break
            if not command.answer.done():
                overdue = True
                self._fail(command, "the bus did not confirm in time")
        self._forget_done()
        self._unsent = [command for command in self._unsent if not command.answer.done()]
        if overdue and self._wire is not None:
            self._wire.abort()  # its answers would come too late to tell whose they are
        if self._under_way:
            self._watch = loop.call_at(self._under_way[0].deadline, self._check_deadlines)

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
        wire = await dial(self._address, name=self._name, on_pushes=lambda pushes: None, timeout=CONNECT_TIMEOUT)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                for script in self._scripts:
                    await wire.command("SCRIPT", "LOAD", script.source)
            if self._greet is not None:
                async with asyncio.timeout(GREETING_TIMEOUT):
                    await self._greet(wire)
            self._wire = wire
            self.connected.set()
            self._flush()
            await wire.lost
            return True
        finally:
            self._wire = None
            self.connected.clear()
            wire.abort()

    def statistics(self) -> dict[str, int | bool]:
        return {
            "connected": self.connected.is_set(),
            "answered": self._answered_count,
            "failed": self._failed,
            "under_way": len(self._under_way),
            "under_way_bytes": self._under_way_bytes,
        }


def _look_at(done: "asyncio.Future[Reply]") -> None:
    """The command that follows tells of any failure; this only marks the exception as seen."""
    if not done.cancelled():
        done.exception()
