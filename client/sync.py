"""The client for scripts: `with connect(…) as client`, without asyncio. One background thread runs its event loop.

The classes and methods are those of the asynchronous client, and raise the same errors; what it awaits, these return.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

from ..shared.background_loop import BackgroundLoop
from ..shared.publication import Position
from . import agent as asynchronous_agent
from . import client as asynchronous
from . import room as asynchronous_room
from .channel import Channel as AsynchronousChannel
from .errors import ClientMisused
from .events import Event
from .messages import Gap, Message
from .presence import User

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Kind = TypeVar("Kind", bound=AsynchronousChannel)


class _Channel(Generic[Kind]):
    """What a room and an agent have in common. Iterate in one thread; `send` may be called in others."""

    def __init__(self, loop: BackgroundLoop, channel: Kind) -> None:
        self.name = channel.name
        self._loop = loop
        self._channel = channel

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        message = self._loop.call(_next(self._channel))
        if message is None:
            raise StopIteration
        return message

    def items(self) -> Iterator[Message | Gap]:
        """The messages, and a Gap wherever some may be missing between them."""
        return _iterate(self._loop, self._channel.items())

    def receive(self, timeout: float) -> Message | None:
        """The next message; None if none has come within `timeout` seconds, or the channel has ended."""
        return self._loop.call(_next(self._channel, timeout))

    def send(self, content: Any, *, key: str | None = None, timeout: float | None = None) -> Position | None:
        """Publish `content`; returns its position."""
        return self._loop.call(self._channel.send(content, key=key, timeout=timeout))

    def stop_stream(self, stream_id: str, *, timeout: float | None = None) -> None:
        """Ask the producer of a stream to stop."""
        self._loop.call(self._channel.stop_stream(stream_id, timeout=timeout))

    def history(self, *, limit: int = 100, since: int | None = None, before: int | None = None) -> list[Message]:
        """Read at most `limit` messages."""
        return self._loop.call(self._channel.history(limit=limit, since=since, before=before))


class Room(_Channel[asynchronous_room.Room]):
    """A room that the client has joined."""

    @property
    def users(self) -> list[User]:
        """Who is in the room; in a large one not all of them."""
        return list(self._channel.presence.users.values())

    @property
    def users_count(self) -> int:
        return self._channel.presence.count

    def typing(self) -> None:
        """Tell the others that this user is typing."""
        self._loop.call(_call(self._channel.typing))

    def leave(self) -> None:
        """Leave the room."""
        self._loop.call(self._channel.leave())


class Agent(_Channel[asynchronous_agent.Agent]):
    """One session of an agent."""

    def sessions(self) -> list[asynchronous_agent.AgentSession]:
        """The agent's sessions on all nodes."""
        return self._loop.call(self._channel.sessions())

    def close(self) -> None:
        """Close its connection."""
        self._loop.call(self._channel.close())


class Client:
    """One user of a cluster."""

    def __init__(self, client: asynchronous.Client) -> None:
        self._client = client
        self._opened: BackgroundLoop | None = None

    def __enter__(self) -> Self:
        if self._opened is not None:
            raise ClientMisused("the client was opened before: make another one with connect()")
        self._opened = BackgroundLoop("tannoy-client", _build_closed)
        try:
            self._opened.call(self._client.__aenter__())
        except BaseException:
            self._opened.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.call(self._client.close())
        finally:
            self._loop.stop()

    @property
    def _loop(self) -> BackgroundLoop:
        if self._opened is None:
            raise ClientMisused("the client is not open: use it inside `with connect(…) as client`")
        return self._opened

    @property
    def user_id(self) -> str:
        """Who the client is, as the node said."""
        return self._client.user_id

    def join(self, room: str, *, observe: bool = False) -> Room:
        """Join a room."""
        return Room(self._loop, self._loop.call(self._client.join(room, observe=observe)))

    def agent(self, agent_id: str, *, session_id: str | None = None) -> Agent:
        """Open a session of an agent."""
        return Agent(self._loop, self._loop.call(self._client.agent(agent_id, session_id=session_id)))

    def private(self, user_id: str, content: Any) -> int:
        """Send a private message; returns how many sessions received it."""
        return self._loop.call(self._client.private(user_id, content))

    def events(self) -> Iterator[Event]:
        """`for event in client.events()`: what happens from now on, besides the messages of channels."""
        loop, events = self._loop, self._loop.call(_call(self._client.events))
        return _iterate(loop, events)


def _build_closed() -> ClientMisused:
    return ClientMisused("the client is closed")


def _iterate(loop: BackgroundLoop, source: AsyncIterator[Result]) -> Iterator[Result]:
    while (item := loop.call(_next(source))) is not None:
        yield item


async def _next(source: AsyncIterator[Result], timeout: float | None = None) -> Result | None:
    """The next item; None behind the last one, or after `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            return await anext(source)
    except (StopAsyncIteration, TimeoutError):
        return None


async def _call(function: Callable[[], Result]) -> Result:
    """Call a function of the client where it belongs: in the thread of its event loop."""
    return function()


def _for_scripts(open_client: Callable[Arguments, asynchronous.Client]) -> Callable[Arguments, Client]:
    @wraps(open_client)
    def open_here(*args: Arguments.args, **options: Arguments.kwargs) -> Client:
        return Client(open_client(*args, **options))

    return open_here


connect = _for_scripts(asynchronous.connect)
"""Return a client, to be opened with `with connect(…) as client`. The arguments are those of the asynchronous one."""
