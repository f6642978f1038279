"""What a session may do: commands in → effects out. No I/O, no clock; the connection carries the effects out.

What is legal where is one table, `_LEGAL`; how a room is found for a command is one method, `_channel`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from ...shared.channels import Channel
from ...shared.codes import ErrorCode
from ...shared.errors import BadRequest, Refused
from ...shared.keyspace import Keyspace
from ...shared.names import NodeId, RoomName, SessionId, UserId
from ...shared.protocol.commands import (
    Authenticate,
    Command,
    GetHistory,
    GetPresence,
    Join,
    Leave,
    Message,
    Ping,
    Pong,
    Private,
    Refresh,
    StopStream,
    Typing,
)
from ...shared.protocol.frames import (
    Author,
    CommandId,
    Object,
    OkFrame,
    PongFrame,
    WelcomeFrame,
)
from ...shared.protocol.presence_frames import PresenceSnapshot
from ...shared.publication import Position, StartPosition
from ..auth.authorization import check_channel, check_command
from ..auth.claims import Claims
from .effects import (
    AskToStop,
    Effect,
    JoinChannel,
    JoinedChannel,
    LeaveChannel,
    PongReceived,
    Publish,
    PublishTyping,
    ReadHistory,
    ReadPresence,
    RefreshToken,
    Reply,
    SendToUser,
)

ROOMS_MAX = 512
"""Rooms that one session may be in at once: what a client can make a node and Redis hold is bounded."""


class Endpoint(Enum):
    """The three WebSocket endpoints of `docs/protocol.md §2`."""

    ROOMS = "/ws"
    ROOM = "/ws/chat/{room}"
    AGENT = "/ws/agents/{agent_id}"


_EVERYWHERE = (Message, Private, GetPresence, GetHistory, StopStream, Ping, Pong, Authenticate, Refresh)
_LEGAL: dict[Endpoint, tuple[type[Command], ...]] = {
    Endpoint.ROOMS: (*_EVERYWHERE, Join, Leave, Typing),
    Endpoint.ROOM: (*_EVERYWHERE, Join, Leave, Typing),
    Endpoint.AGENT: _EVERYWHERE,
}


@dataclass(frozen=True, slots=True)
class NodeTerms:
    """What a node tells each of its clients in `welcome`."""

    node_id: NodeId
    ping_interval: float
    """Seconds between two pings of the node."""
    message_max_bytes: int
    """The size of the largest frame that a client may send."""


class Session:
    """One live session. `home` is the channel its endpoint names, if any: entered on connect.

    `claims`: of its token, which allow it to use its home; None: the node asks for no tokens.
    """

    __slots__ = ("_keyspace", "author", "claims", "endpoint", "home", "joined", "recover")

    def __init__(
        self,
        endpoint: Endpoint,
        author: Author,
        home: Channel | None,
        keyspace: Keyspace,
        *,
        recover: Position | None = None,
        claims: Claims | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.author = author
        self.home = home
        self.joined: dict[str, JoinedChannel] = {}
        self.claims = claims
        self._keyspace = keyspace
        self.recover = recover
        """The position in its home from which the client asks to be recovered on connect; None: it does not ask."""

    @property
    def session_id(self) -> SessionId:
        assert self.author.session_id is not None
        return self.author.session_id

    @property
    def user_id(self) -> UserId:
        assert self.author.user_id is not None
        return self.author.user_id

    @property
    def username(self) -> str:
        assert self.author.username is not None
        return self.author.username

    def handle(self, command: Command) -> Effect:
        """Return the effect of one command. Raises Refused with the error that answers it."""
        if not isinstance(command, _LEGAL[self.endpoint]):
            raise BadRequest(f"{command.type} is not a command of {self.endpoint.value}")
        if self.claims is not None:
            check_command(self.claims, command)
        match command:
            case Join(id, room, recover, observe):
                return JoinChannel(self._channel_to_join(room), id, recover, observe)
            case Leave(id, room):
                return LeaveChannel(self._joined_channel(room), id)
            case Message(id, room, content, key):
                return Publish(self._channel_to_publish(room), content, id, key)
            case Private(id, to, content):
                return SendToUser(to, content, id)
            case Typing(id, room):
                return PublishTyping(self._channel_to_publish(room), id)
            case GetPresence(id, room):
                return ReadPresence(self._channel(room), id)
            case GetHistory(id, room, page):
                return ReadHistory(self._channel(room), id, page)
            case StopStream(id, room, stream_id):
                return AskToStop(self._channel_to_publish(room), stream_id, id)
            case Ping(id):
                return Reply(PongFrame(id))
            case Pong():
                return PongReceived()
            case Authenticate():
                raise BadRequest("this session has its identity already: refresh replaces a token")
            case Refresh(id, token):
                return RefreshToken(token, id)
            case _:
                assert_never(command)

    # ---- which channel a command means

    def _channel(self, room: RoomName | None) -> Channel:
        """The joined channel that a command speaks of. Raises BadRequest or `not_joined`."""
        if self.endpoint is Endpoint.AGENT:
            if room is not None:
                raise BadRequest(f"a session of an agent has no rooms: leave {'room'!r} out")
            assert self.home is not None
            return self.home
        return self._joined_channel(room).channel

    def _channel_to_publish(self, room: RoomName | None) -> Channel:
        """As `_channel`. Raises `forbidden` too, for a room that the session only observes."""
        channel = self._channel(room)
        if self.joined[channel.name].observes:
            raise Refused(f"this session only observes room {channel.name}", code=ErrorCode.FORBIDDEN)
        return channel

    def _joined_channel(self, room: RoomName | None) -> JoinedChannel:
        name = self._room_name(room)
        joined = self.joined.get(name)
        if joined is None:
            raise Refused(f"this session is not in room {name}: join it first", code=ErrorCode.NOT_JOINED)
        return joined

    def _channel_to_join(self, room: RoomName | None) -> Channel:
        name = self._room_name(room)
        if name in self.joined:
            raise Refused(f"this session is in room {name} already", code=ErrorCode.ALREADY_JOINED)
        if len(self.joined) >= ROOMS_MAX:
            raise Refused(f"a session may be in at most {ROOMS_MAX} rooms", code=ErrorCode.LIMIT_REACHED)
        channel = self._keyspace.room(name)
        if self.claims is not None:
            check_channel(self.claims, channel)
        return channel

    def _room_name(self, room: RoomName | None) -> RoomName:
        if self.home is None:
            if room is None:
                raise BadRequest("the field 'room' is missing")
            return room
        if room is not None and room != self.home.name:
            raise BadRequest(f"this socket is for room {self.home.name} alone: /ws is for many rooms")
        return RoomName(self.home.name)

    def refresh(self, claims: Claims) -> None:
        """Go on with another token of the same user. Raises Refused: it allows less than the session is using."""
        if claims.user_id != self.user_id:
            raise Refused("the token is of another user than this session", code=ErrorCode.FORBIDDEN)
        for channel in filter(None, (self.home, *(joined.channel for joined in self.joined.values()))):
            check_channel(claims, channel)
        self.claims = claims

    # ---- joined channels, and the frames that tell the client of them

    def add_joined(self, joined: JoinedChannel) -> None:
        self.joined[joined.channel.name] = joined

    def remove_joined(self, joined: JoinedChannel) -> None:
        del self.joined[joined.channel.name]

    def join_ok(
        self, channel: Channel, id: CommandId | None, snapshot: PresenceSnapshot | None, start: StartPosition
    ) -> OkFrame | None:
        """Return the `ok` of a join; None if the command had no `id`."""
        if id is None:
            return None
        fields: Object = {"room": channel.name}
        if snapshot is not None:
            fields |= snapshot.as_fields()
        return OkFrame(id, fields | start.as_fields())

    def welcome(self, node: NodeTerms, snapshot: PresenceSnapshot | None, start: StartPosition) -> WelcomeFrame:
        return WelcomeFrame(
            self.session_id,
            self.user_id,
            self.username,
            node.node_id,
            node.ping_interval,
            node.message_max_bytes,
            self.home,
            snapshot,
            start,
            None if self.claims is None else self.claims.expires_at,
        )
