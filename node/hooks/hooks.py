"""The hooks of an application, and what they are called with. Each is an async function; all may be left out.

    async def authenticate(request: HTTPConnection) -> Identity | None
    async def authorize(session: LiveSession, channel: ChannelRequest) -> bool
    async def on_connect(session: LiveSession) -> None
    async def on_message(session: LiveSession, message: ClientMessage) -> None
    async def on_disconnect(session: LiveSession, end: SessionEnd) -> None

docs/embedding.md says when each is called, and what follows if it raises or does not return.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from starlette.requests import HTTPConnection

from ...shared.channels import Channel, ChannelKind
from ..protocols.session import Session
from .identity import Identity


class LiveSession:
    """One session, from its handshake to its end. The same object for each hook; `state` is the application's own."""

    __slots__ = ("address", "agent_id", "identity", "room", "session_id", "state", "user_id", "username")

    def __init__(self, session: Session, address: str | None, identity: Identity | None) -> None:
        home = session.home
        self.session_id: str = session.session_id
        self.user_id: str = session.user_id
        self.username = session.username
        self.room: str | None = home.name if home is not None and home.kind is ChannelKind.ROOM else None
        """That of `/ws/chat/{room}`; None: the session joins rooms by itself."""
        self.agent_id: str | None = home.name if home is not None and home.kind is ChannelKind.AGENT else None
        """That of `/ws/agents/{agent_id}`."""
        self.address = address
        """The client's; None: it has none."""
        self.identity = identity
        """What `authenticate` returned; None: there is no such hook."""
        self.state: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<LiveSession {self.session_id} of {self.user_id}>"


@dataclass(frozen=True, slots=True)
class ChannelRequest:
    """What a session asks to use: a room or an agent; the other one is None. `observe`: it wants to hear alone."""

    room: str | None
    agent_id: str | None
    observe: bool = False

    @classmethod
    def of(cls, channel: Channel, *, observe: bool = False) -> "ChannelRequest":
        is_room = channel.kind is ChannelKind.ROOM
        return cls(channel.name if is_room else None, None if is_room else channel.name, observe)


@dataclass(slots=True)
class ClientMessage:
    """What a session says: to a room, to an agent, or privately to a user; the other two are None.

    Assign to `content` to change it, or change it in place; it has to stay what JSON can represent.
    """

    content: Any
    room: str | None = None
    agent_id: str | None = None
    to_user: str | None = None
    key: str | None = None


class SessionEnd(NamedTuple):
    """How a session has ended. `code`: a close code; None: its connection was lost. `reason`: in words."""

    code: int | None
    reason: str


Authenticate = Callable[[HTTPConnection], Awaitable[Identity | None]]
Authorize = Callable[[LiveSession, ChannelRequest], Awaitable[bool]]
OnConnect = Callable[[LiveSession], Awaitable[None]]
OnMessage = Callable[[LiveSession, ClientMessage], Awaitable[None]]
OnDisconnect = Callable[[LiveSession, SessionEnd], Awaitable[None]]

TIMEOUT = 5.0
"""Seconds in which a hook has to return, the wait for its turn included."""
AT_ONCE = 100
"""Calls of one hook that are under way at once; further ones wait for their turn."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Raises TypeError for one that is no async function, and ValueError for a bound that is none."""

    authenticate: Authenticate | None = None
    authorize: Authorize | None = None
    on_connect: OnConnect | None = None
    on_message: OnMessage | None = None
    on_disconnect: OnDisconnect | None = None
    timeout: float = field(default=TIMEOUT, kw_only=True)
    at_once: int = field(default=AT_ONCE, kw_only=True)

    def __post_init__(self) -> None:
        for each in fields(self)[:5]:
            hook = getattr(self, each.name)
            if hook is not None and not _is_async(hook):
                raise TypeError(f"{each.name} has to be an async function, not {hook!r:.200}")
        if not 0.01 <= self.timeout <= 300:
            raise ValueError(f"hook_timeout has to be 0.01 to 300 s, not {self.timeout}")
        if not 1 <= self.at_once <= 100_000:
            raise ValueError(f"hooks_at_once has to be 1 to 100000, not {self.at_once}")

    @property
    def are_there(self) -> bool:
        return any(getattr(self, each.name) is not None for each in fields(self)[:5])


NO_HOOKS = Hooks()


def _is_async(hook: object) -> bool:
    is_object = callable(hook) and inspect.iscoroutinefunction(type(hook).__call__)
    return is_object or inspect.iscoroutinefunction(hook)
