"""`connect`: a client of a running cluster, with rooms, agents, private messages and events."""

import asyncio
from ssl import SSLContext
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

from ..shared.names import parse_agent, parse_room, parse_session
from .agent import Agent
from .calls import call, join_room, refresh_presence
from .catch_up import Frame
from .channel_state import ChannelState
from .errors import ClientMisused, NoAnswer
from .event_queue import EventQueue, EventReaders
from .events import Event
from .options import Options, SlowReader, check_options
from .reconnector import Reconnector
from .room import Room
from .token_refresh import TokenRefresh
from .tokens import Token, TokenSource


def connect(
    url: str,
    *,
    token: Token = None,
    user_id: str | None = None,
    username: str | None = None,
    encoding: Literal["json", "msgpack"] = "json",
    queue_size: int = 1000,
    slow_reader: SlowReader | Literal["pause", "recover"] = SlowReader.PAUSE,
    max_attempts: int | None = None,
    timeout: float = 10.0,
    connect_timeout: float = 30.0,
    ssl: SSLContext | None = None,
) -> "Client":
    """Return a client, to be opened with `async with connect(…) as client`.

    `url`: `ws://host:port` or `wss://host:port` of a node or load balancer, with a path before which `/ws` is found, if
    there is one. `token`: a string, or a function that returns one, coroutine or not, and is asked again before the
    token expires. `user_id`, `username`: who the client is on nodes without tokens. `encoding`: the wire format.
    `queue_size`: messages of a channel that wait for its reader; `slow_reader`: what happens beyond that.
    `max_attempts`: failed connections in a row after which the client gives up; None: never. `timeout`: seconds that a
    command may take. `connect_timeout`: seconds that the first connection may take. `ssl`: None checks certificates
    by the authorities that the system trusts.

    Raises ValueError for a bad argument, and ClientError for a malformed address.
    """
    options = check_options(
        url,
        user_id=user_id,
        username=username,
        encoding=encoding,
        queue_size=queue_size,
        slow_reader=slow_reader,
        max_attempts=max_attempts,
        timeout=timeout,
        connect_timeout=connect_timeout,
        ssl=ssl,
    )
    return Client(options, token)


class Client:
    """One user of a cluster. It reconnects by itself, and joins its rooms again.

    Methods raise ClientMisused before the client is open and after it was closed, and what has ended it otherwise: a
    SessionEnded if the node said not to come back.
    """

    __slots__ = ("_agents", "_events", "_link", "_options", "_rooms", "_token", "_tokens")

    def __init__(self, options: Options, token: Token) -> None:
        self._options = options
        self._token = token
        self._tokens: TokenSource | None = None
        self._link: Reconnector | None = None
        self._rooms: dict[str, Room] = {}
        self._agents: list[Agent] = []
        self._events = EventReaders()

    async def __aenter__(self) -> Self:
        if self._link is not None:
            raise ClientMisused("the client was opened before: make another one with connect()")
        self._tokens = TokenSource(self._token)
        self._link = self._make_link("/ws", self._events)
        try:
            await self._link.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, within about two seconds. Iterations end behind what was received."""
        links = [agent.close() for agent in self._agents]
        if self._link is not None:
            links.append(self._link.close())
        await asyncio.gather(*links)
        if self._tokens is not None:
            await self._tokens.close()

    @property
    def user_id(self) -> str:
        """Who the client is, as the node said."""
        return self._opened.session.user_id

    async def join(self, room: str, *, observe: bool = False, timeout: float | None = None) -> Room:
        """Join a room, or return it if it is joined already. `observe`: hear it without being listed or speaking.

        Raises BadName, CommandRefused, and NoAnswer after `timeout` seconds.
        """
        link, name = self._opened, parse_room(room)
        known = self._rooms.get(name)
        if known is not None and not known.state.has_ended:
            return known
        state = ChannelState(name, self._options.queue_size, is_observed=observe)
        joined = self._rooms[name] = Room(link, state)
        link.session.rooms[name] = state
        if link.session.is_live:
            link.start_task(join_room(link, state))
        seconds = self._options.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds):
                await link.wait_until_usable(state)
        except TimeoutError as error:
            await joined.leave()
            raise NoAnswer(f"{name} was not joined within {seconds:g} s") from error
        return joined

    async def agent(self, agent_id: str, *, session_id: str | None = None) -> Agent:
        """Open a session of an agent, over a connection of its own. `session_id` names it, else the node does.

        Raises BadName, and ClientError of the kind that says why there is no session.
        """
        self._check_open()
        path = f"/ws/agents/{quote(parse_agent(agent_id))}"
        events, state = EventReaders(), ChannelState(agent_id, self._options.queue_size)
        wanted = None if session_id is None else parse_session(session_id)
        link = self._make_link(path, events, state, wanted)
        agent = Agent(link, state, events)
        try:
            await link.open()
        except BaseException:
            await agent.close()
            raise
        self._agents.append(agent)
        return agent

    async def private(self, user_id: str, content: Any, *, timeout: float | None = None) -> int:
        """Send a private message to all sessions of a user; returns how many received it.

        It is not sent again once it was sent. Raises CommandRefused, Unconfirmed, NoAnswer.
        """
        seconds = self._options.timeout if timeout is None else timeout
        command = {"type": "private", "to": user_id, "content": content}
        answer = await call(self._opened, command, timeout=seconds, repeats=False)
        sessions: int = answer["sessions"]
        return sessions

    def events(self) -> EventQueue[Event]:
        """`async for event in client.events()`: what happens from now on, besides the messages of channels.

        Those of an agent's connection are `agent.events()`.
        """
        self._check_open()
        return self._events.open()

    # ---- connections

    @property
    def _opened(self) -> Reconnector:
        self._check_open()
        assert self._link is not None
        return self._link

    def _check_open(self) -> None:
        if self._link is None:
            raise ClientMisused("the client is not open: use it inside `async with connect(…) as client`")
        if self._link.end is not None:
            raise self._link.end

    def _make_link(
        self, path: str, events: EventReaders, home: ChannelState | None = None, session_id: str | None = None
    ) -> Reconnector:
        assert self._tokens is not None

        def refresh(room: ChannelState) -> None:
            if not room.is_refreshing:
                link.start_task(refresh_presence(link, room))

        def begin(welcome: Frame) -> None:
            if tokens is not None:
                tokens.begin(welcome.get("expires_at"))
            _join_all(link)

        link = Reconnector(
            self._options,
            self._tokens,
            path,
            home=home,
            session_id=session_id,
            events=events,
            on_live=begin,
            on_presence_missed=refresh,
        )
        tokens = TokenRefresh(link, self._tokens) if self._tokens.is_renewable else None
        return link


def _join_all(link: Reconnector) -> None:
    """Behind each `welcome`: a new connection is in no room."""
    for room in link.session.rooms.values():
        link.start_task(join_room(link, room))
