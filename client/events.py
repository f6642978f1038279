"""What a client tells besides the messages of channels: `async for event in client.events()`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .catch_up import Frame
from .messages import Gap
from .streams import StreamBegan as StreamBegan
from .streams import StreamEnded as StreamEnded
from .streams import StreamEvent as StreamEvent
from .streams import StreamGrew as StreamGrew


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is open, on `node`. `is_first` is False for a reconnect: private messages may have been missed."""

    node: str
    session_id: str
    is_first: bool


@dataclass(frozen=True, slots=True)
class Rejoined:
    """A room was joined again after a reconnect, or an agent's session is back.

    `recovered`: how many messages were missed and follow; None: what was missed is read from the history.
    """

    channel: str
    recovered: int | None


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection was lost. The next attempt is made in `delay` seconds."""

    reason: str
    code: int | None
    delay: float


@dataclass(frozen=True, slots=True)
class UserJoined:
    """`users_count` users are in the room now."""

    room: str
    user_id: str
    username: str
    users_count: int


@dataclass(frozen=True, slots=True)
class UserLeft:
    """`users_count` users are in the room now."""

    room: str
    user_id: str
    username: str
    users_count: int


@dataclass(frozen=True, slots=True)
class PresenceCounted:
    """A large room sends the number of its users, instead of who comes and goes."""

    room: str
    users_count: int


@dataclass(frozen=True, slots=True)
class Typing:
    room: str
    user_id: str
    username: str


@dataclass(frozen=True, slots=True)
class PrivateMessage:
    """`timestamp` is RFC 3339. The author is None where a back end named none."""

    from_user_id: str | None
    from_username: str | None
    content: Any
    timestamp: str


@dataclass(frozen=True, slots=True)
class BusStatus:
    """`down`: the node is without Redis, and nothing can be sent until it is `up` again."""

    bus: Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class NodeError:
    """The node reported an error that answers no call of the program: that of a token renewed ahead, for instance."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """`count` events were dropped here, since the reader of the events was too slow."""

    count: int


Event = (
    Connected
    | Rejoined
    | Gap
    | Reconnecting
    | UserJoined
    | UserLeft
    | PresenceCounted
    | Typing
    | PrivateMessage
    | BusStatus
    | NodeError
    | EventsMissed
    | StreamEvent
)

_PARSERS: dict[str, Callable[[Frame], Event]] = {
    "typing": lambda frame: Typing(frame["room"], frame["user_id"], frame["username"]),
    "user_joined": lambda frame: UserJoined(frame["room"], frame["user_id"], frame["username"], frame["users_count"]),
    "user_left": lambda frame: UserLeft(frame["room"], frame["user_id"], frame["username"], frame["users_count"]),
    "presence": lambda frame: PresenceCounted(frame["room"], frame["users_count"]),
    "private": lambda frame: PrivateMessage(
        frame["from_user_id"], frame["from_username"], frame["content"], frame["timestamp"]
    ),
    "status": lambda frame: BusStatus(frame["bus"]),
    "error": lambda frame: NodeError(frame["code"], frame["message"]),
}


def parse_event(frame: Frame) -> Event | None:
    """The event of a frame; None if frames of its type are none, or are not known to this version."""
    parser = _PARSERS.get(frame["type"])
    return None if parser is None else parser(frame)
