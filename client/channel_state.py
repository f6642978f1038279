"""What a client knows of one channel, over one connection after another. No I/O.

The inbox has what was received, the reading position what was read: between them lies what the caller has yet to take.
"""

from collections.abc import Callable

from ..shared.publication import Position
from .catch_up import CatchUp, Frame, position_of
from .errors import ClientError
from .events import Rejoined
from .inbox import Inbox, Missed
from .presence import Presence
from .streams import OpenStreams, StreamEvent


class ChannelState:
    """A room, or an agent. Its reader sets `on_change`: there is something to read, or the channel has ended."""

    __slots__ = (
        "_has_started",
        "_read_position",
        "end",
        "has_ended",
        "inbox",
        "is_joined",
        "is_observed",
        "is_read",
        "is_refreshing",
        "may_pause",
        "name",
        "on_change",
        "presence",
        "streams",
    )

    def __init__(self, name: str, inbox_size: int, *, is_observed: bool = False) -> None:
        self.name = name
        self.is_observed = is_observed
        self.on_change: Callable[[], None] = _ignore
        self.inbox = Inbox(inbox_size)
        self.presence = Presence()
        self.streams = OpenStreams(name)
        self.is_joined = False
        """On the present connection."""
        self.is_read = False
        """Somebody has begun to read it."""
        self.may_pause = True
        """A full inbox may pause the reading of the socket."""
        self.is_refreshing = False
        """Its users are being requested."""
        self.has_ended = False
        self.end: ClientError | None = None
        """Why the channel has ended; None if it was left."""
        self._read_position = CatchUp()
        self._has_started = False

    @property
    def recover_from(self) -> Position | None:
        return self.inbox.recover_from

    def enter(self, answer: Frame) -> Rejoined | None:
        """The channel was joined: `answer` is the `ok` of `join`, or the `welcome` of a channel's own endpoint.

        Returns the event of a channel that was joined before.
        """
        head, before = position_of(answer), self.inbox.head
        self.is_joined = True
        if "version" in answer:
            self.presence.apply_snapshot(answer)
        if not self._has_started:
            self._has_started = True
            self.inbox.start(head)
            self._read_position.start_after(head)
            return None
        if answer.get("recovered") and head is not None and before is not None:
            return Rejoined(self.name, head.offset - before.offset)
        self.inbox.add_missed(head)
        self.on_change()
        return Rejoined(self.name, None)

    def interrupt(self) -> None:
        """The connection was lost."""
        self.is_joined = False
        self.presence.reset()
        self.streams.clear()

    def add_message(self, frame: Frame) -> None:
        """A `message` of the channel. Before the channel is joined its position is not known: then it is recovered."""
        if self.is_joined:
            self.inbox.add_message(frame)
            self.on_change()

    def add_stream_frame(self, frame: Frame) -> StreamEvent | None:
        """A frame of a stream. At its end the message that it stands for is one of the channel."""
        match frame["type"]:
            case "stream":
                return self.streams.begin(frame)
            case "delta":
                return self.streams.grow(frame)
            case _:
                ended = self.streams.end(frame)
                if ended is None:
                    return None
                event, message = ended
                self.add_message(message)
                return event

    def add_resync(self, frame: Frame) -> None:
        if self.is_joined:
            self.inbox.add_missed(position_of(frame))
            self.on_change()

    def finish(self, end: ClientError | None) -> None:
        """The channel was left (None), or can't be used any more. What was received before can still be read."""
        if not self.has_ended:
            self.is_joined, self.has_ended, self.end = False, True, end
            self.on_change()

    def take(self) -> Frame | Missed | None:
        """The next message that was not read before, or a Missed, to be read with `reading`; None: nothing is there."""
        while (entry := self.inbox.take()) is not None:
            if isinstance(entry, Missed) or self._read_position.accept(entry):
                return entry
        return None

    @property
    def reading(self) -> CatchUp:
        """The reading position."""
        return self._read_position


def _ignore() -> None:
    """Nobody reads the channel yet."""
