"""How far a channel has been read, and how the messages after that are fetched from the history. No I/O.

The rules of a client (docs/protocol.md §4): advance the position with each message, drop a message at or below it,
and where messages may be missing read the history. Each message is yielded once and in order; messages that can't be
had any more are reported. `client/js/src/catch-up.ts` does the same for pages.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..shared.protocol.commands import PAGE_MAX
from ..shared.publication import Position

Frame = dict[str, Any]
_Identity = tuple[Any, ...]


class RequestHistory(Protocol):
    """Send a `history` command with these fields; returns its `ok` frame, or None if the node refused it."""

    async def __call__(self, **fields: int) -> Frame | None: ...


@dataclass(frozen=True, slots=True)
class Missing:
    """Messages after `after`, up to and including `until`, may be missing. None: that end is not known."""

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
    """The position in a `welcome`, a `resync` or an answer; None if the cluster keeps no history."""
    return None if frame.get("epoch") is None else Position(frame["epoch"], frame["offset"])


class CatchUp:
    """The reading position in one channel.

    Every message up to `position` was yielded or reported as missing. None: the position is not known.
    """

    def __init__(self) -> None:
        self.position: Position | None = None
        self._recent: dict[_Identity, None] = {}  # the last PAGE_MAX messages that were read, oldest first

    def start_after(self, position: Position | None, known: Sequence[Frame] = ()) -> None:
        """Start at `position`; `known` are messages before it, remembered so that they are not yielded again."""
        self.position = position
        for message in known:
            self._remember(_identity(message))

    def accept(self, message: Frame) -> bool:
        """Advance to a delivered message. Returns False if it was read before."""
        offset = message.get("offset")
        if offset is None or self.position is None:
            return True
        if offset <= self.position.offset:
            return False
        # A node without its bus may start behind the position that was read from another node.
        is_known = _identity(message) in self._recent
        self._advance(message, self.position.epoch)
        return not is_known

    async def read_missed(
        self, head: Position | None, request_history: RequestHistory
    ) -> AsyncIterator[Frame | Missing]:
        """Yield what is still kept of the messages up to `head`, and a Missing in the place of what is not.

        Frames that arrive meanwhile have to wait. A caller that stops halfway can go on from `position`.
        """
        position = self.position
        if head is None:
            yield Missing(position, None)
            self.position = None
        elif position is not None and position.epoch == head.epoch and position.offset <= head.offset:
            async for item in self._read_since(position, head, request_history):
                yield item
        else:
            async for item in self._read_new_epoch(head, request_history):
                yield item

    async def _read_since(
        self, position: Position, head: Position, request_history: RequestHistory
    ) -> AsyncIterator[Frame | Missing]:
        while position.offset < head.offset:
            page = await request_history(since=position.offset, limit=PAGE_MAX)
            if page is None or page["epoch"] != head.epoch or not page["messages"]:
                break
            for message in page["messages"]:
                if message["offset"] > position.offset + 1:
                    yield Missing(position, Position(head.epoch, message["offset"] - 1))
                position = self._advance(message, head.epoch)
                yield message
        if position.offset < head.offset:
            self.position = head
            yield Missing(position, head)

    async def _read_new_epoch(self, head: Position, request_history: RequestHistory) -> AsyncIterator[Frame | Missing]:
        """The channel has begun another epoch. Its history may begin with messages of the old one, read already."""
        page = await request_history(limit=PAGE_MAX)
        if page is not None and page["epoch"] == head.epoch:
            messages = self._unread(await _read_whole(page, request_history))
            head = Position(head.epoch, page["offset"])
        else:
            messages = []
        first = Position(head.epoch, messages[0]["offset"] - 1) if messages else head
        yield Missing(self.position, first)
        for message in messages:
            self._advance(message, head.epoch)
            yield message
        self.position = head

    def _unread(self, messages: list[Frame]) -> list[Frame]:
        """The messages after the last one that was read. Offsets do not tell: another epoch may use them again."""
        for index in range(len(messages), 0, -1):
            if _identity(messages[index - 1]) in self._recent:
                return messages[index:]
        return messages

    def _advance(self, message: Frame, epoch: str) -> Position:
        self._remember(_identity(message))
        self.position = Position(epoch, message["offset"])
        return self.position

    def _remember(self, identity: _Identity) -> None:
        self._recent[identity] = None
        if len(self._recent) > PAGE_MAX:
            del self._recent[next(iter(self._recent))]


async def _read_whole(page: Frame, request_history: RequestHistory) -> list[Frame]:
    """The last PAGE_MAX messages, of which `page` has those that fitted into one answer."""
    messages: list[Frame] = page["messages"]
    epoch = page["epoch"]
    while page.get("more") and len(messages) < PAGE_MAX:
        before = await request_history(before=messages[0]["offset"], limit=PAGE_MAX - len(messages))
        if before is None or before["epoch"] != epoch or not before["messages"]:
            break  # what is in front of them is reported as missing
        page, messages = before, [*before["messages"], *messages]
    return messages


def _identity(message: Frame) -> _Identity:
    """No two messages share this, whatever the epoch."""
    return tuple(message[name] for name in ("offset", "timestamp", "session_id", "user_id"))
