"""`tannoy.AsyncPublisher`: what a back end publishes, from the event loop in which it was opened."""

import asyncio
import os
from collections.abc import Iterable
from types import TracebackType
from typing import Self, Unpack

from ..shared.channels import ChannelKind
from ..shared.errors import Refused
from ..shared.names import parse_agent, parse_session, parse_user
from ..shared.publication import Position
from .async_stream import AsyncStream
from .errors import (
    ManyFailed,
    PublisherClosed,
    PublisherForked,
    PublisherNotOpen,
    PublishError,
    WrongEventLoop,
    from_refusal,
)
from .messages import ChannelMessage, MessageFields, check_author, check_fields, check_message, check_stream
from .route import Result, Route
from .settings import PublisherOptions, PublisherSettings, read_settings


class AsyncPublisher:
    """Publishes to rooms, agents, sessions and users: `async with AsyncPublisher("redis://…") as publisher:`.

    The URL is that of Redis, as nodes have it in TANNOY_REDIS_URL, from which it is read if it is left out; or
    `http://…` or `https://…`, the address of a node or load balancer, with `api_key`. `docs/sdk.md` has the other
    arguments, which are those of `PublisherOptions`.

    All calls of one turn of the event loop go out together. Each takes at most `timeout` seconds, and raises a
    PublishError. Raises InvalidSettings.
    """

    def __init__(self, url: str | None = None, **options: Unpack[PublisherOptions]) -> None:
        self._settings = read_settings(url, **options)
        self._route: Route | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._opening = asyncio.Lock()
        self._was_closed = False
        self._inherited: list[Route] = []  # kept, since to delete them would close what they have open

    # ---- life

    async def open(self) -> Self:
        """Connect, unless it is open already: so every call may begin with it.

        Raises PublishError: at once, if the cluster can't be published to.
        """
        self._leave_inherited()
        if self._route is None:
            async with self._opening:
                if self._route is None:
                    await self._open()
        self._use()
        return self

    async def _open(self) -> None:
        route = _create_route(self._settings)
        await route.open()
        if self._route is not None:  # it was opened in another event loop meanwhile
            await route.close()
            raise WrongEventLoop
        self._route, self._loop = route, asyncio.get_running_loop()

    async def close(self) -> None:
        """End the connections. What is being published fails with PublisherClosed."""
        self._leave_inherited()
        if self._route is not None:
            self._use()
        route, self._route, self._was_closed = self._route, None, True
        if route is not None:
            await route.close()

    def _leave_inherited(self) -> None:
        """Leave alone what belongs to a process that this one was forked from, or to an event loop that has ended."""
        is_forked, has_ended = self._pid != os.getpid(), self._loop is not None and self._loop.is_closed()
        if is_forked or has_ended:
            self._pid, self._loop, self._opening = os.getpid(), None, asyncio.Lock()
            if self._route is not None:
                self._inherited.append(self._route)
                self._route = None

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _use(self) -> Route:
        """Raises PublisherMisused."""
        if self._route is None:
            raise PublisherClosed if self._was_closed else PublisherNotOpen("AsyncPublisher")
        if self._pid != os.getpid():
            raise PublisherForked("AsyncPublisher", self._pid)
        if self._loop is not asyncio.get_running_loop():
            raise WrongEventLoop
        return self._route

    @property
    def failure(self) -> BaseException | None:
        """An error of ours that has ended a part of it: it publishes nothing any more, until it is opened again."""
        return None if self._route is None else self._route.failure

    # ---- messages

    async def to_room(
        self,
        room: str,
        content: object,
        *,
        user_id: str | int | None = None,
        username: str | None = None,
        key: str | None = None,
        exclude_session: str | None = None,
    ) -> Position | None:
        """Publish to all sessions in a room but `exclude_session`; once per `user_id` and `key`, within five minutes.

        The result is its position in the room's history: of a `key` that was seen before, that of the earlier message;
        None without history.
        """
        route = self._use()
        message = check_message(ChannelKind.ROOM, room, content, user_id, username, key, exclude_session)
        return await route.publish(message)

    async def to_agent(
        self,
        agent_id: str,
        content: object,
        *,
        user_id: str | int | None = None,
        username: str | None = None,
        key: str | None = None,
        exclude_session: str | None = None,
    ) -> Position | None:
        """Publish to all sessions of an agent; all else is as in `to_room`."""
        route = self._use()
        message = check_message(ChannelKind.AGENT, agent_id, content, user_id, username, key, exclude_session)
        return await route.publish(message)

    async def to_session(
        self,
        agent_id: str,
        session_id: str,
        content: object,
        *,
        user_id: str | int | None = None,
        username: str | None = None,
    ) -> int:
        """Send to one session of an agent: 1 if it got it, 0 if no node has it. No history keeps it."""
        route = self._use()
        try:
            agent, session = parse_agent(agent_id), parse_session(session_id)
        except Refused as refusal:
            raise from_refusal(refusal) from None
        return await route.send_to_session(agent, session, check_author(user_id, username), content)

    async def to_user(
        self, to: str | int, content: object, *, user_id: str | int | None = None, username: str | None = None
    ) -> int:
        """Send to all sessions of the user `to`, as `private`: how many got it. `user_id` is the author."""
        route = self._use()
        try:
            user = parse_user(to)
        except Refused as refusal:
            raise from_refusal(refusal) from None
        return await route.send_to_user(user, check_author(user_id, username), content)

    def stream(
        self,
        *,
        agent: str | None = None,
        room: str | None = None,
        stream_id: str | None = None,
        meta: object = None,
        user_id: str | int | None = None,
        username: str | None = None,
    ) -> AsyncStream:
        """A text that grows on the channel of an `agent` or in a `room`: `async with publisher.stream(…) as stream:`.

        It is begun and ended by the block. Without a `stream_id` it has a new one.
        """
        route = self._use()
        kind, name, header = check_stream(agent, room, stream_id, meta, user_id, username)
        return AsyncStream(route, kind, name, header)

    async def many(self, messages: Iterable[MessageFields]) -> list[Position | None]:
        """Publish many at once, each to a `room` or an `agent_id`, in order. A result each, as those of `to_room`.

        Raises ManyFailed if some have failed: its `results` says which, and the others are published.
        """
        route = self._use()
        checked = [_try_check(message) for message in messages]
        published = iter(await route.publish_many(each for each in checked if isinstance(each, ChannelMessage)))
        results: list[Result] = [next(published) if isinstance(each, ChannelMessage) else each for each in checked]
        positions = [each for each in results if not isinstance(each, PublishError)]
        if len(positions) < len(results):
            raise ManyFailed(results)
        return positions


def _try_check(message: MessageFields) -> ChannelMessage | PublishError:
    try:
        return check_fields(message)
    except PublishError as refusal:
        return refusal


def _create_route(settings: PublisherSettings) -> Route:
    """Each is imported where it is used: that of Redis imports a Redis client, that of HTTP an HTTP client."""
    if settings.is_http:
        from .http_route import HttpRoute

        return HttpRoute(settings)
    from .redis_route import RedisRoute

    return RedisRoute(settings)
