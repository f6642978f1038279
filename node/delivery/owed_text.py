"""The text of streams that a slow client is owed: one frame of each stream when it reads again, and not each piece."""

from collections.abc import Callable

from ..protocols.framing import Chunk

PAID_MAX = 64
"""Streams of which one outbox remembers up to where it has written them."""

StreamKey = tuple[bytes, str]
"""A stream, by the address of its channel and its id, with the time of its beginning."""
TextFrame = Callable[[int | None, int], tuple[Chunk, int]]
"""Frame what a client has not read of a stream: from a start, or all, and at most so many bytes of it as they are; else
the whole text instead. Returns also where the text ends."""


class OwedText:
    """Stands in the queue where the first piece of the text was to come. It has no size: it refers to a shared text."""

    __slots__ = ("frame", "start", "stream")

    def __init__(self, stream: StreamKey, start: int | None, frame: TextFrame) -> None:
        self.stream = stream
        self.start = start
        self.frame = frame

    def __len__(self) -> int:
        return 0


class OwedTexts:
    """Of one outbox. `paid`: up to where text was written that a delivery in slices may bring yet."""

    __slots__ = ("_owed", "paid")

    def __init__(self) -> None:
        self._owed: dict[StreamKey, OwedText] = {}
        self.paid: dict[StreamKey, int] = {}

    @property
    def has_any(self) -> bool:
        return bool(self._owed)

    def add(self, stream: StreamKey, start: int | None, frame: TextFrame) -> OwedText | None:
        """What is to be queued; None: this stream is owed already, and the frame will hold the new piece too."""
        owed = self._owed.get(stream)
        if owed is None:
            owed = self._owed[stream] = OwedText(stream, start, frame)
            return owed
        if start is None:
            owed.start, owed.frame = None, frame  # the text is another one
        return None

    def pay(self, owed: OwedText, max_bytes: int) -> Chunk:
        """Frame what is owed."""
        del self._owed[owed.stream]
        chunk, end = owed.frame(owed.start, max_bytes)
        if len(self.paid) >= PAID_MAX:
            del self.paid[next(iter(self.paid))]
        self.paid[owed.stream] = end
        return chunk

    def was_paid(self, stream: StreamKey, start: int | None, end: int) -> bool:
        """Whether the text from `start` to `end` was written with what was owed. Once it was not, nothing later was."""
        if start is not None and end <= self.paid.get(stream, -1):
            return True
        self.paid.pop(stream, None)
        return False
