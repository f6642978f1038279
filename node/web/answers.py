"""The answers of the HTTP API, as OpenAPI describes them. Handlers return plain objects of this form.

Fields that are missing in some answers have a default here.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from ...shared.policy import LimitPolicy


class Answer(BaseModel):
    """An object with these fields. What has a default may be missing."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """An RFC 9457 problem document; `code` is one of `docs/protocol.md §4`."""

    type: str
    title: str
    status: int
    detail: str
    code: str = ""
    retry_after: float = 0
    to: int = 0
    ended: str = ""


class ReportFields(Answer):
    """With `report: true`: what became of the message at the sockets of all nodes."""

    nodes: int = 0
    written: int = 0
    slow: int = 0
    closed: tuple[str, ...] = ()
    late_nodes: tuple[str, ...] = ()
    more: bool = False


class Published(ReportFields):
    """Where the message stands in the history, if one is kept."""

    epoch: str = ""
    offset: int = 0


class Sent(ReportFields):
    """To how many sessions the message was sent."""

    sessions: int


class BatchResults(Answer):
    """A result for each message, in their order."""

    results: list[Published | Problem]


class StreamBegun(Answer):
    stream_id: str


class StreamWritten(Answer):
    """Where the text ends, how many sessions listen, and whether the producer has been asked to stop."""

    to: int
    listeners: int
    stop: bool


class StreamEnded(Answer):
    """How the stream has ended, and where its message stands in the history, if one is kept."""

    to: int
    status: str
    epoch: str = ""
    offset: int = 0


class StreamStopped(Answer):
    stop: bool


class StreamState(StreamEnded):
    """`status` is `open`, or how it has ended. Lists have no `text`."""

    stream_id: str
    user_id: str | None
    username: str | None
    timestamp: str
    listeners: int
    stop: bool
    meta: Any = None
    text: str = ""


class Streams(Answer):
    streams: list[StreamState]


class RoomUsers(Answer):
    room: str
    users_count: int


class Rooms(Answer):
    rooms: list[RoomUsers]
    total: int


class Room(Answer):
    room: str
    users_count: int
    sessions_count: int


class PresentUser(Answer):
    user_id: str
    username: str
    connected_at: str
    sessions: int


class Presence(Answer):
    room: str
    users_count: int
    version: int
    users: tuple[PresentUser, ...] = ()
    more: bool = False


class StoredMessage(BaseModel):
    """A `message` frame; `docs/protocol.md §4`."""

    type: str
    user_id: str | None
    username: str | None
    session_id: str | None
    content: Any
    timestamp: str
    offset: int


class History(Answer):
    messages: list[StoredMessage]
    epoch: str | None
    offset: int | None
    more: bool = False
    gaps: tuple[tuple[int, int], ...] = ()


class Session(Answer):
    session_id: str
    user_id: str
    username: str
    node: str
    connected_at: str
    agent_id: str = ""


class Disconnect(Answer):
    at: str
    session_id: str
    code: int
    reason: str
    rule: str
    count: int | None
    node: str
    displaced_by: str = ""


class OwnerSessions(Answer):
    max_sessions: int
    policy: LimitPolicy
    sessions: list[Session]
    disconnects: list[Disconnect]


class Agent(OwnerSessions):
    agent_id: str


class User(OwnerSessions):
    user_id: str


class OnlineUsers(Answer):
    users: list[PresentUser]
    cursor: str | None
    late_nodes: list[str]


class AgentLimit(Answer):
    agent_id: str
    max_sessions: int
    policy: LimitPolicy
    closed: int


class Closed(Answer):
    sessions: int


class NodeState(Answer):
    node: str
    incarnation: str
    sessions: int
    channels: int
    load: float
    version: str
    draining: bool
    ready: bool
    started_at: str


class Nodes(Answer):
    nodes: list[NodeState]


class Draining(Answer):
    node: str
    incarnation: str
    draining: bool


class Revocation(Answer):
    id: str
    until: str
    created_at: str
    jti: str = ""
    user_id: str = ""
    agent_id: str = ""


class Revocations(Answer):
    revocations: list[Revocation]


class DeadLetter(Answer):
    id: str
    event: dict[str, Any]
    reason: str


class DeadLetters(Answer):
    dead_letters: list[DeadLetter]
    total: int
    lost: int
    cursor: str = ""


class Resent(Answer):
    resent: int
