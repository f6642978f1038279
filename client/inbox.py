"""What was received in a channel and is not read yet: bounded; what does not fit is remembered as missed. No I/O."""

from collections import deque
from dataclasses import dataclass

from ..shared.publication import Position
from .catch_up import Frame


@dataclass(slots=True)
class Missed:
    """Messages up to `head` may be missing at this place: they have to be read from the history.

    None: the cluster keeps no history.
    """

    head: Position | None


class Inbox:
    """At most `size` messages, in order, and a Missed in the place of what could not be kept.

    The last entry takes up all that does not fit: while it is a Missed of an inbox that was full, messages only move
    its head. So an inbox never holds more than `size + 1` entries, however slow its reader is.
    """

    __slots__ = ("_entries", "_epoch", "_offset", "_overflow", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: deque[Frame | Missed] | None = None  # made with the first entry: an empty one has 760 bytes
        self._epoch: str | None = None
        self._offset = 0
        self._overflow: Missed | None = None

    def __len__(self) -> int:
        return 0 if self._entries is None else len(self._entries)

    @property
    def is_full(self) -> bool:
        return len(self) >= self._size

    @property
    def is_low(self) -> bool:
        """Whether a reader that was too slow has caught up."""
        return 2 * len(self) <= self._size

    @property
    def head(self) -> Position | None:
        """The position that was received last; None without history."""
        return None if self._epoch is None else Position(self._epoch, self._offset)

    @property
    def recover_from(self) -> Position | None:
        """The position to recover from on the next connection. None after an overflow: the history is read anyway."""
        return None if self._overflow is not None else self.head

    def start(self, head: Position | None) -> None:
        """The channel was joined for the first time: its messages follow `head`."""
        self._move(head)

    def add_message(self, frame: Frame) -> None:
        offset = frame.get("offset")
        if offset is not None and offset > self._offset:
            self._offset = offset
        if self._overflow is not None:
            self._overflow.head = self.head
        elif self.is_full:
            self._add_overflow()
        else:
            self._append(frame)

    def add_missed(self, head: Position | None) -> None:
        """Messages up to `head` may be missing: a `resync`, or a join without recovery."""
        self._move(head)
        if self._entries and isinstance(last := self._entries[-1], Missed):
            last.head = head
        elif self.is_full:
            self._add_overflow()
        else:
            self._append(Missed(head))

    def take(self) -> Frame | Missed | None:
        """The oldest entry; None if there is none."""
        if not self._entries:
            return None
        entry = self._entries.popleft()
        if entry is self._overflow:
            self._overflow = None
        return entry

    def _add_overflow(self) -> None:
        self._overflow = Missed(self.head)
        self._append(self._overflow)

    def _append(self, entry: Frame | Missed) -> None:
        if self._entries is None:
            self._entries = deque()
        self._entries.append(entry)

    def _move(self, head: Position | None) -> None:
        self._epoch, self._offset = (None, 0) if head is None else head
