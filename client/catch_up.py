"""Up to where a channel has been read, and what was missed since: each message once, in order, or it is told. No I/O.

The rules of a client, as `docs/protocol.md §4` has them: advance with each message, drop what is not above that, and
where messages may be missing read the history. `node/static/chat/feed.js` does the same for the chat page.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..shared.protocol.commands import PAGE_MAX
from ..shared.publication import Position

Frame = dict[str, Any]
_Identity = tuple[Any, ...]


class Ask(Protocol):
    """The answer to a `history` command; None if there is none to be had."""

    async def __call__(self, **fields: int) -> Frame | None: ...


@dataclass(frozen=True, slots=True)
class Missing:
    """Messages may be missing behind `after`, up to `until`. None: nothing is known of that end."""

    after: Position | None
    until: Position | None

    def __str__(self) -> str:
        after, until = self.after, self.until
        if until is None:
            return "messages may be missing: this cluster keeps no history"
        if after is None:
            return f"messages may be missing before offset {until.offset + 1} of epoch {until.epoch}"
        if after.epoch == until.epoch and after.offset < until.offset:
            return f"messages may be missing: offsets {after.offset + 1} to {until.offset} of epoch {until.epoch}"
        return (
            f"messages may be missing: all after offset {after.offset} of epoch {after.epoch}, "
            f"and all before offset {until.offset + 1} of epoch {until.epoch}"
        )


def position_of(frame: Frame) -> Position | None:
    """Where a `welcome`, a `resync` or an answer stands; None where no history is kept."""
    return None if frame.get("epoch") is None else Position(frame["epoch"], frame["offset"])


class CatchUp:
    """One channel. `position`: all up to there has been read, or told to be missing; None before that is known."""

    def __init__(self) -> None:
        self.position: Position | None = None
        self._last: dict[_Identity, None] = {}  # the last PAGE_MAX messages that were read, in their order

    def begin(self, position: Position | None, before: Sequence[Frame] = ()) -> None:
        """What comes is read from here on; `before` it was said what nobody wants to read."""
        self.position = position
        for message in before:
            self._remember(_identity(message))

    def is_new(self, message: Frame) -> bool:
        """A message has come. False: it was read before."""
        offset = message.get("offset")
        if offset is None or self.position is None:
            return True
        if offset <= self.position.offset:
            return False
        # A node whose bus is away may begin behind what was read from another one.
        is_known = _identity(message) in self._last
        self._take(message, self.position.epoch)
        return not is_known

    async def catch_up(self, head: Position | None, ask: Ask) -> AsyncIterator[Frame | Missing]:
        """Messages may be missing up to `head`: what is still there of them, and in its place what is not.

        What comes meanwhile has to wait. Whoever stops halfway can go on from `position`.
        """
        position = self.position
        if head is None:
            yield Missing(position, None)
            self.position = None
        elif position is not None and position.epoch == head.epoch and position.offset <= head.offset:
            async for told in self._read_since(position, head, ask):
                yield told
        else:
            async for told in self._read_anew(head, ask):
                yield told

    async def _read_since(self, position: Position, head: Position, ask: Ask) -> AsyncIterator[Frame | Missing]:
        while position.offset < head.offset:
            page = await ask(since=position.offset, limit=PAGE_MAX)
            if page is None or page["epoch"] != head.epoch or not page["messages"]:
                break
            for message in page["messages"]:
                if message["offset"] > position.offset + 1:
                    yield Missing(position, Position(head.epoch, message["offset"] - 1))
                position = self._take(message, head.epoch)
                yield message
        if position.offset < head.offset:
            self.position = head
            yield Missing(position, head)

    async def _read_anew(self, head: Position, ask: Ask) -> AsyncIterator[Frame | Missing]:
        """The channel has begun another epoch: what is left of the old one, which has been read, may go before it."""
        page = await ask(limit=PAGE_MAX)
        if page is not None and page["epoch"] == head.epoch:
            messages = self._unread(page["messages"])
            head = Position(head.epoch, page["offset"])
        else:
            messages = []
        begins = Position(head.epoch, messages[0]["offset"] - 1) if messages else head
        yield Missing(self.position, begins)
        for message in messages:
            self._take(message, head.epoch)
            yield message
        self.position = head

    def _unread(self, messages: list[Frame]) -> list[Frame]:
        """What follows the last one that was read. Offsets alone don't tell: another epoch may give them again."""
        for index in range(len(messages), 0, -1):
            if _identity(messages[index - 1]) in self._last:
                return messages[index:]
        return messages

    def _take(self, message: Frame, epoch: str) -> Position:
        self._remember(_identity(message))
        self.position = Position(epoch, message["offset"])
        return self.position

    def _remember(self, identity: _Identity) -> None:
        self._last[identity] = None
        if len(self._last) > PAGE_MAX:
            del self._last[next(iter(self._last))]


def _identity(message: Frame) -> _Identity:
    """No two messages share this, whatever the epoch."""
    return tuple(message[name] for name in ("offset", "timestamp", "session_id", "user_id"))
