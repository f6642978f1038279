"""How messages get to the cluster: what a publisher needs of Redis, or of the HTTP API of a node."""

from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

from ..shared.names import AgentId, SessionId, UserId
from ..shared.protocol.frames import Author
from ..shared.publication import Position
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

    async def send_to_user(self, user: UserId, author: Author, content: object) -> int:
        """The number of sessions that got it."""
        ...
