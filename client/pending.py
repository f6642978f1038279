"""Commands that wait for an answer, by their ids. No I/O."""

from collections.abc import Callable

from .catch_up import Frame

OnAnswer = Callable[[Frame | None], None]
"""Called once: with the `ok`, `error` or `pong` of the command, or with None if the connection ended before it came."""


class PendingCommands:
    """The commands on one connection. An answer to a command that is not here, since its caller gave up, is ignored."""

    __slots__ = ("_last_id", "_waiting")

    def __init__(self) -> None:
        self._last_id = 0
        self._waiting: dict[int, OnAnswer] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, on_answer: OnAnswer) -> int:
        """Return the id for the command."""
        self._last_id += 1
        self._waiting[self._last_id] = on_answer
        return self._last_id

    def discard(self, id: int) -> None:
        """Its caller waits no longer."""
        self._waiting.pop(id, None)

    def answer(self, frame: Frame) -> bool:
        """Hand an answer over. Returns False if no command has this id."""
        id = frame.get("id")
        on_answer = self._waiting.pop(id, None) if isinstance(id, int) else None
        if on_answer is None:
            return False
        on_answer(frame)
        return True

    def fail_all(self) -> None:
        """The connection has ended."""
        waiting, self._waiting = self._waiting, {}
        for on_answer in waiting.values():
            on_answer(None)
