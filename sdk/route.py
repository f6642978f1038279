"""How messages get to the cluster: what a publisher needs of Redis, or of the HTTP API of a node."""

from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

from ..shared.channels import ChannelKind
from ..shared.names import AgentId, SessionId, StreamId, UserId
from ..shared.protocol.frames import Author
from ..shared.publication import Position
from ..shared.streams import Ended, StreamHeader, StreamStatus, Written
from .errors import PublishError
from .messages import ChannelMessage

Result = Position | PublishError | None
"""Of one message: where it is in the history, why it failed, or None without history."""


class Route(Protocol):
    """Opened once, and closed once, in one event loop. All but `close` raise PublishError, within the time-out."""

    @property
    def failure(self) -> BaseException | None:
        """An error of ours that has ended a part of it, so that nothing works any more."""
        ...

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    def publish(self, message: ChannelMessage) -> Coroutine[Any, Any, Position | None]: ...
    def publish_many(self, messages: Iterable[ChannelMessage]) -> Coroutine[Any, Any, list[Result]]:
        """A result each, in order. Raises nothing but PublisherClosed."""
        ...

    async def send_to_session(self, agent: AgentId, session: SessionId, author: Author, content: object) -> int:
        """The number of sessions that got it: 1 or 0."""
        ...

    def begin_stream(self, kind: ChannelKind, name: str, header: StreamHeader) -> Coroutine[Any, Any, None]:
        """Begin a stream; repeated with the same header, once."""
        ...

    def write_stream(
        self, kind: ChannelKind, name: str, stream_id: StreamId, piece: bytes, start: int
    ) -> Coroutine[Any, Any, Written]:
        """Append a piece at `start`, once. Raises StreamBroken too, also where `start` is behind the end."""
        ...

    def end_stream(
        self, kind: ChannelKind, name: str, stream_id: StreamId, status: StreamStatus
    ) -> Coroutine[Any, Any, Ended]: ...

    async def send_to_user(self, user: UserId, author: Author, content: object) -> int:
        """The number of sessions that got it."""
        ...
