"""The effects of a session: what a command brings about, as values. The caller of the session carries them out."""

from dataclasses import dataclass, field

from ...shared.channels import Channel
from ...shared.names import StreamId, UserId
from ...shared.protocol.commands import HistoryQuery
from ...shared.protocol.frames import CommandId, NodeFrame
from ...shared.publication import Position


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this frame to the session itself."""

    frame: NodeFrame


@dataclass(frozen=True, slots=True)
class JoinChannel:
    """Join this channel, then call `Session.add_joined`. Later commands wait for it.

    `recover`: send what was published behind this position. `observe`: without being present there.
    """

    channel: Channel
    id: CommandId | None
    recover: Position | None = None
    observe: bool = False


@dataclass(frozen=True, slots=True)
class JoinedChannel:
    """A channel that the session has joined. `number` identifies its presence there within this process.

    `observes`: it receives what is published, is not listed, and publishes nothing.
    """

    channel: Channel
    number: int
    observes: bool = False


@dataclass(frozen=True, slots=True)
class LeaveChannel:
    """Leave this channel, then answer."""

    joined: JoinedChannel
    id: CommandId | None


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish a message on the channel, once per author and `key`; answer when Redis has confirmed it."""

    channel: Channel
    content: object
    id: CommandId | None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class PublishTyping:
    """Publish in the room that the user is typing, to all sessions but this one."""

    room: Channel
    id: CommandId | None


@dataclass(frozen=True, slots=True)
class SendToUser:
    """Send a message to all sessions of a user, on any node, and answer with their number."""

    to: UserId
    content: object
    id: CommandId | None


@dataclass(frozen=True, slots=True)
class ReadPresence:
    """Answer with the users of the channel."""

    channel: Channel
    id: CommandId


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """Answer with a page of the channel's history."""

    channel: Channel
    id: CommandId
    page: HistoryQuery


@dataclass(frozen=True, slots=True)
class AskToStop:
    """Ask the producer of a stream of the channel to stop; answer when Redis has confirmed it."""

    channel: Channel
    stream_id: StreamId
    id: CommandId | None


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The client has answered the node's ping."""


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Verify the token, then call `Session.refresh`, and answer."""

    token: str = field(repr=False)
    id: CommandId | None


Effect = (
    Reply
    | JoinChannel
    | LeaveChannel
    | Publish
    | PublishTyping
    | SendToUser
    | ReadPresence
    | ReadHistory
    | AskToStop
    | PongReceived
    | RefreshToken
)
