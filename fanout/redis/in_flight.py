"""Commands between the door and their answers: how many there may be, and what becomes of those that take too long."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ...shared.errors import Unavailable
from .connection import Reply, Word
from .errors import CommandFailed
from .script import Script

DEADLINE = 0.45
"""Seconds; `docs/protocol.md §4` promises an answer within 0.5."""
MAX_BYTES = 32 * 1024 * 1024
"""Of commands under way at once. More than this is refused at the door."""
WORD_OVERHEAD_BYTES = 256
"""What a command weighs beyond its payload; so a flood of empty ones is bounded too."""


class RedisCommand:
    """One command from the door to its answer. `script`: it is the EVALSHA of that. `timeout` is in seconds."""

    __slots__ = ("answer", "deadline", "script", "size", "words")

    def __init__(self, words: tuple[Word, ...], script: Script | None, timeout: float = DEADLINE) -> None:
        loop = asyncio.get_running_loop()
        self.words = words
        self.script = script
        self.size = sum(len(word) for word in words if isinstance(word, bytes)) + WORD_OVERHEAD_BYTES
        self.deadline = loop.time() + timeout
        self.answer: asyncio.Future[Reply] = loop.create_future()


C = TypeVar("C", bound=RedisCommand)


class InFlight(Generic[C]):
    """All commands of one pipeline, by their deadlines. `on_overdue` is told when some have failed by them."""

    def __init__(self, on_overdue: Callable[[], None]) -> None:
        self._on_overdue = on_overdue
        self._commands: deque[C] = deque()
        self._bytes = 0
        self._watch: asyncio.TimerHandle | None = None
        self._answered = 0
        self._failed = 0

    def admit(self, command: C) -> bool:
        """False: there are too many, and it has failed."""
        if self._bytes + command.size > MAX_BYTES:
            self.fail(command, CommandFailed("the bus is overloaded: too much is still unconfirmed"))
            return False
        self._commands.append(command)
        self._bytes += command.size
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_at(command.deadline, self._check_deadlines)
        return True

    def answer(self, command: C, reply: Reply) -> None:
        if not command.answer.done():
            self._answered += 1
            command.answer.set_result(reply)

    def fail(self, command: C, error: Unavailable) -> None:
        if not command.answer.done():
            self._failed += 1
            command.answer.set_exception(error)

    def forget_done(self) -> None:
        commands = self._commands
        while commands and commands[0].answer.done():
            self._bytes -= commands.popleft().size
        if not commands and self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _check_deadlines(self) -> None:
        self._watch = None
        loop = asyncio.get_running_loop()
        failed = self._failed
        for command in self._commands:
            if command.deadline > loop.time():
                break
            self.fail(command, CommandFailed("the bus did not confirm in time"))
        self.forget_done()
        if self._failed > failed:
            self._on_overdue()
        if self._commands and self._watch is None:
            self._watch = loop.call_at(self._commands[0].deadline, self._check_deadlines)

    def statistics(self) -> dict[str, int]:
        return {
            "answered": self._answered,
            "failed": self._failed,
            "under_way": len(self._commands),
            "under_way_bytes": self._bytes,
        }
