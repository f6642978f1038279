"""A client's session: frames in, commands out, over one connection after another. No I/O and no clock.

The edge (`reconnector.py`) opens connections, hands each frame to `receive`, and says when a connection has ended.
"""

from collections.abc import Callable

from .catch_up import Frame
from .channel_state import ChannelState
from .events import Event, parse_event
from .pending import PendingCommands

_PONG: Frame = {"type": "pong"}


class Session:
    """`send` takes a command without an answer; `on_event` each event; `on_live` is called behind each `welcome`.
    `on_presence_missed` gets a room whose users have to be requested again.

    `home` is the channel of the endpoint: an agent, which needs no `join`. None: rooms are joined.
    """

    __slots__ = (
        "_on_event",
        "_on_live",
        "_on_presence_missed",
        "_send",
        "bye",
        "home",
        "is_live",
        "message_max_bytes",
        "node",
        "on_frame",
        "pending",
        "refusal",
        "rooms",
        "user_id",
    )

    def __init__(
        self,
        *,
        send: Callable[[Frame], None],
        on_event: Callable[[Event], None],
        on_live: Callable[[Frame], None],
        on_presence_missed: Callable[[ChannelState], None],
        home: ChannelState | None = None,
    ) -> None:
        self.pending = PendingCommands()
        self.rooms: dict[str, ChannelState] = {}
        self.home = home
        self.user_id = ""
        """Who the client is, as the node said last."""
        self.node = ""
        self.message_max_bytes = 0
        """The largest frame that the node accepts."""
        self.is_live = False
        self.on_frame: Callable[[Frame], None] | None = None
        """Called with each frame of the node, before it is handled."""
        self.bye: Frame = {}
        """The `bye` of the present connection, or of the one that has just ended; empty without one."""
        self.refusal: Frame = {}
        """An `error` in place of `welcome`: why the node will close the connection."""
        self._send = send
        self._on_event = on_event
        self._on_live = on_live
        self._on_presence_missed = on_presence_missed

    @property
    def channels(self) -> list[ChannelState]:
        return [*self.rooms.values()] if self.home is None else [self.home]

    def begin(self) -> None:
        """A connection is open."""
        self.bye, self.refusal = {}, {}

    def end(self) -> None:
        """The connection has ended."""
        self.is_live = False
        for channel in self.channels:
            channel.interrupt()
        self.pending.fail_all()

    def receive(self, frame: Frame) -> ChannelState | None:
        """Handle a frame. Returns the channel that has received something to read."""
        kind = frame["type"]
        if self.on_frame is not None:
            self.on_frame(frame)
        if kind == "message":
            channel = self._channel_of(frame)
            if channel is not None:
                channel.add_message(frame)
            return channel
        match kind:
            case "ok" | "pong":
                self.pending.answer(frame)
            case "error":
                self._handle_error(frame)
            case "ping":
                self._send(_PONG)
            case "resync":
                channel = self._channel_of(frame)
                if channel is not None:
                    channel.add_resync(frame)
                return channel
            case "stream" | "delta" | "stream_end":
                return self._handle_stream(frame)
            case "welcome":
                self._handle_welcome(frame)
            case "bye":
                self.bye = frame
            case "user_joined" | "user_left" | "presence":
                self._handle_presence(frame)
            case _:
                self._tell(frame)
        return None

    def build_join(self, room: ChannelState, *, recovers: bool = True) -> Frame:
        """The `join` of a room, from where it was received last."""
        command: Frame = {"type": "join", "room": room.name}
        if room.is_observed:
            command["observe"] = True
        if recovers and (position := room.recover_from) is not None:
            command["recover"] = position.as_fields()
        return command

    def _channel_of(self, frame: Frame) -> ChannelState | None:
        """None: the room was left, or the frame belongs to a `join` whose answer nobody waits for any more."""
        return self.rooms.get(frame["room"]) if "room" in frame else self.home

    def _handle_stream(self, frame: Frame) -> ChannelState | None:
        channel = self._channel_of(frame)
        event = None if channel is None else channel.add_stream_frame(frame)
        if event is not None:
            self._on_event(event)
        return channel if frame["type"] == "stream_end" else None

    def _handle_welcome(self, frame: Frame) -> None:
        self.user_id, self.node, self.message_max_bytes = frame["user_id"], frame["node"], frame["message_max_bytes"]
        self.is_live = True
        rejoined = None if self.home is None else self.home.enter(frame)
        self._on_live(frame)
        if rejoined is not None:
            self._on_event(rejoined)

    def enter_room(self, room: ChannelState, answer: Frame) -> None:
        """A `join` was answered with `ok`."""
        rejoined = room.enter(answer)
        if rejoined is not None:
            self._on_event(rejoined)

    def _handle_error(self, frame: Frame) -> None:
        if self.pending.answer(frame):
            return
        if not self.is_live:
            self.refusal = frame
        self._tell(frame)

    def _handle_presence(self, frame: Frame) -> None:
        room = self.rooms.get(frame["room"])
        if room is not None and room.is_joined and room.presence.apply_change(frame):
            self._tell(frame)
            if room.presence.has_missed:
                self._on_presence_missed(room)

    def _tell(self, frame: Frame) -> None:
        event = parse_event(frame)
        if event is not None:
            self._on_event(event)
