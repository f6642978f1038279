"""Commands that were accepted and not answered: a bound on their bytes, and a deadline for each."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, TypeVar, cast

from ...shared.durations import Durations, DurationStatistics
from ...shared.errors import Unavailable
from ...shared.partitions import kind_of_key
from .connection import RedisConnection, Reply, Word
from .errors import CommandFailed
from .script import Script

COMMAND_TIMEOUT = 0.45
"""Seconds that a command waits for its reply; `docs/protocol.md §4` promises an answer within 0.5."""
MAX_BYTES = 32 * 1024 * 1024
"""Bytes of all commands in flight in one pipeline; a command that would exceed them fails at once."""
COMMAND_OVERHEAD_BYTES = 256
"""Bytes that each command counts besides its own, so that many empty commands are bounded too."""
REPLY_IS_LATE_AFTER = COMMAND_TIMEOUT / 2
"""Seconds after which a missing reply says something about the server: a round trip may take 0.2 (`docs/redis.md`)."""

OVERTAKEN = "the bus has carried out a later command before this one"
"""Why a command of those that `overtaken` returns fails."""


class RedisCommand:
    """One command until it is answered. `script` is the one that its EVALSHA calls; `timeout` is in seconds.

    `connection` is the one whose reply it waits for since `sent_at`. With `asking`, ASKING goes in front of it, for the
    server of a Redis Cluster to which the slot is being migrated.
    """

    __slots__ = ("answer", "asking", "connection", "deadline", "script", "sent_at", "since", "size", "words")

    def __init__(self, words: tuple[Word, ...], script: Script | None, timeout: float = COMMAND_TIMEOUT) -> None:
        loop = asyncio.get_running_loop()
        self.words = words
        self.script = script
        self.asking = False
        self.connection: RedisConnection | None = None
        self.sent_at = 0.0
        size = COMMAND_OVERHEAD_BYTES
        for word in words:
            if type(word) is bytes:
                size += len(word)
        self.size = size
        self.since = loop.time()
        self.deadline = self.since + timeout
        self.answer: asyncio.Future[Reply] = loop.create_future()

    def drop_script_flags(self) -> None:
        """Call the script as it is loaded on a server that refuses its flags. Other commands stay as they are."""
        if self.script is not None:
            self.script = self.script.plain
            self.words = (self.words[0], self.script.digest, *self.words[2:])

    def end_silent_connection(self) -> None:
        """The reply is overdue. On a silent connection those behind it would be late too: the next one answers sooner.

        But not where the command was sent only just before its deadline. Nor where Redis has replied meanwhile, or part
        of a reply has come: it is busy with what was sent before, or the reply is large. Then the command is late
        alone, and what else was asked for is not lost with it. If no more comes, RoleWatch ends the connection.
        """
        connection = self.connection
        if connection is None or connection.is_receiving:
            return
        if self.deadline - max(self.sent_at, connection.replied_at) >= REPLY_IS_LATE_AFTER:
            connection.abort()

    @property
    def order_keys(self) -> frozenset[Word]:
        """The keys by which the order of commands matters. Of some scripts it is a word of their own.

        Of several keys of a script those are the heads of channels, or else the second: the first is that of the
        server, which all channels share.
        """
        if self.script is not None and self.script.order:
            return frozenset((self.script.order,))
        if self.words[0] != "EVALSHA":
            return frozenset(self.words[1:2])
        keys = self.words[3 : 3 + cast(int, self.words[2])]
        heads = frozenset(key for key in keys if isinstance(key, bytes) and kind_of_key(key) == "head")
        return heads or frozenset(keys[1:2] or keys)


C = TypeVar("C", bound=RedisCommand)


def overtaken(refused: Iterable[C], executed: RedisCommand) -> list[C]:
    """Those of the refused commands to one of the same keys that were sent before one that Redis has executed.

    Redis answers one connection in order, so all that were refused before its answer came were sent before it. To send
    them again would change the order of a channel: of its messages some were refused and later ones were not.
    """
    keys = executed.order_keys
    return [command for command in refused if not keys.isdisjoint(command.order_keys)]


@dataclass(frozen=True, slots=True)
class InFlightStatistics:
    answered: int
    """Commands that Redis has answered with a value."""
    failed: int
    """Commands that failed: refused by Redis, not answered in time, or beyond MAX_BYTES."""
    in_flight: int
    """Commands that wait for their answer now."""
    in_flight_bytes: int
    """Bytes of these commands."""
    script_calls: Mapping[str, int]
    """Calls of each script so far, by its name; a batch of calls is one."""
    durations: DurationStatistics
    """Of the commands that Redis has answered with a value: from when they were accepted."""


class InFlight(Generic[C]):
    """All commands of one pipeline, oldest first: all wait equally long, so this is also the order of their deadlines.

    `on_overdue` is called after commands have failed because their deadlines had passed.
    """

    def __init__(self, on_overdue: Callable[[], None]) -> None:
        self._on_overdue = on_overdue
        self._commands: deque[C] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._answered = 0
        self._failed = 0
        self._script_calls: Counter[str] = Counter()  # bounded: the scripts of `fanout/lua`
        self._durations = Durations()

    def admit(self, command: C) -> bool:
        """Count a new command. False: it would exceed MAX_BYTES, and has failed."""
        if self._bytes + command.size > MAX_BYTES:
            self.fail(command, CommandFailed("the bus is overloaded: too much is still unconfirmed"))
            return False
        if command.script is not None:
            self._script_calls[command.script.name] += 1
        self._commands.append(command)
        self._bytes += command.size
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(command.deadline, self._check_deadlines)
        return True

    def answer(self, command: C, reply: Reply) -> None:
        if not command.answer.done():
            self._answered += 1
            self._durations.record(asyncio.get_running_loop().time() - command.since)
            command.answer.set_result(reply)

    def fail(self, command: C, error: Unavailable) -> None:
        if not command.answer.done():
            self._failed += 1
            command.answer.set_exception(error)

    def forget_done(self) -> None:
        """Stop counting the commands that are done, up to the oldest one that is not."""
        commands = self._commands
        while commands and commands[0].answer.done():
            self._bytes -= commands.popleft().size
        if not commands and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_deadlines(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        expired = takewhile(lambda command: command.deadline <= now, self._commands)
        overdue = [command for command in expired if not command.answer.done()]
        for command in overdue:
            self.fail(command, CommandFailed("the bus did not confirm in time"))
            command.end_silent_connection()
        self.forget_done()
        if overdue:
            self._on_overdue()
        if self._commands and self._timer is None:
            self._timer = loop.call_at(self._commands[0].deadline, self._check_deadlines)

    def statistics(self) -> InFlightStatistics:
        return InFlightStatistics(
            self._answered,
            self._failed,
            len(self._commands),
            self._bytes,
            dict(self._script_calls),
            self._durations.statistics(),
        )
