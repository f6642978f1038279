"""Straight through Redis, without a node in between: what nodes hear is what a node would publish.

A message to one session or one user has no idempotency key: it is sent once, as soon as answers can come.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any

from ..fanout.backend import backend_of
from ..fanout.history.publisher import PUBLISHING_SCRIPTS, Publisher
from ..fanout.history.reader import HistoryRules
from ..fanout.publishing import MessagePublishing
from ..fanout.pubsub.envelopes import envelopes_of
from ..fanout.redis.address import AnyAddress, parse_address
from ..fanout.redis.credentials import load_credentials
from ..fanout.redis.errors import RedisError
from ..fanout.server_life import ServerLives
from ..fanout.startup import check_publishing
from ..fanout.streams.producing import PRODUCING_SCRIPTS, StreamProducing, StreamRules
from ..fanout.timeouts import DEFAULT_TIMEOUTS
from ..shared.channels import ChannelKind
from ..shared.clock import Clock, SystemClock
from ..shared.codes import ErrorCode
from ..shared.errors import StartError, Unavailable
from ..shared.keyspace import Keyspace
from ..shared.names import AgentId, SessionId, StreamId, UserId
from ..shared.protocol.frames import Author
from ..shared.publication import Position
from ..shared.streams import Ended, StreamHeader, StreamStatus, Written
from .channel_publishing import ChannelPublishing
from .encoding import Encoder
from .errors import InvalidSettings, PublishUnavailable, Unauthorized
from .failures import Failures, denies_access
from .messages import ChannelMessage
from .node_requests import NodeRequests
from .redis_streams import RedisStreams
from .route import Result
from .settings import PublisherSettings


class RedisRoute:
    """A connection for publishes, and, from the first message to a session or a user on, one for answers."""

    def __init__(self, settings: PublisherSettings, clock: Clock | None = None) -> None:
        """Raises InvalidSettings."""
        clock, timeout = clock or SystemClock(), settings.timeout
        address = _read_address(settings)
        self._failures = Failures(address, timeout)
        self._keyspace = keyspace = Keyspace(settings.redis_prefix, address.database)
        self._rules = HistoryRules(settings.history_size, settings.history_ttl)
        timeouts = DEFAULT_TIMEOUTS
        self._backend = backend_of(address, keyspace, command_timeout=min(timeouts.command, timeout))
        self._lives = ServerLives(keyspace, clock=clock, unreadable=self._backend.unreadable)
        name, secret = f"{os.getpid()}", settings.cluster_secret.encode()
        self._pipeline = self._backend.pipeline(
            name=f"tannoy-sdk-{name}",
            scripts=(*PUBLISHING_SCRIPTS, *PRODUCING_SCRIPTS),
            on_connected=self._lives.on_connected,
        )
        publisher = Publisher(self._pipeline, keyspace, self._rules, envelopes_of(secret))
        self._requests = NodeRequests(
            self._backend,
            keyspace,
            publisher,
            name=name,
            secret=secret,
            clock=clock,
            response_timeout=min(timeouts.response, timeout),
        )
        self._publishing = MessagePublishing(publisher, self._requests.control, clock)
        self._encoder = Encoder(keyspace, clock, settings.message_max_bytes)
        self._channels = ChannelPublishing(self._encoder, publisher, self._failures)
        rules = StreamRules(settings.stream_max_bytes, settings.stream_timeout, settings.streams_open_max)
        producing = StreamProducing(self._pipeline, keyspace, self._rules, rules, clock, envelopes_of(secret))
        self._streams = RedisStreams(producing, self._encoder, self._failures)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    # ---- life

    @property
    def failure(self) -> BaseException | None:
        return self._failures.cause

    async def open(self) -> None:
        """Connect, and try what publishing needs. Raises PublishUnavailable, Unauthorized."""
        timeout, address = self._failures.timeout, self._failures.address
        try:
            async with asyncio.timeout(timeout):
                await check_publishing(self._backend, self._keyspace, self._rules, self._lives, timeout=timeout)
                for name, job in self._backend.jobs.items():
                    self._keep(name, job)
                self._keep("publisher", self._pipeline.run)
                await self._pipeline.connected.wait()
        except StartError as error:
            await self.close()
            if isinstance(refusal := error.__cause__, RedisError) and denies_access(refusal):
                raise Unauthorized(str(error), ErrorCode.FORBIDDEN) from error
            raise PublishUnavailable(str(error)) from error
        except TimeoutError:
            await self.close()
            raise PublishUnavailable(f"Redis at {address} takes no publishes within {timeout:g} s") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End all connections. What is being published fails with PublisherClosed."""
        self._failures.is_closed = True
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _keep(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self._tasks[name] = asyncio.create_task(run(), name=f"tannoy-sdk-{name}")
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Nothing ends before `close`: from now on every call says what has ended it."""
        if not task.cancelled():
            self._failures.cause = task.exception() or AssertionError(f"{task.get_name()} has ended")

    # ---- messages

    def publish(self, message: ChannelMessage) -> Coroutine[Any, Any, Position | None]:
        return self._channels.publish(message)

    def publish_many(self, messages: Iterable[ChannelMessage]) -> Coroutine[Any, Any, list[Result]]:
        return self._channels.publish_many(messages)

    async def send_to_session(self, agent: AgentId, session: SessionId, author: Author, content: object) -> int:
        self._encoder.check_content(content)
        channel = self._keyspace.agent(agent)
        return await self._request(partial(self._publishing.send_to_session, channel, session, author, content))

    async def send_to_user(self, user: UserId, author: Author, content: object) -> int:
        self._encoder.check_content(content)
        return await self._request(partial(self._publishing.send_to_user, user, author, content))

    # ---- streams

    def begin_stream(self, kind: ChannelKind, name: str, header: StreamHeader) -> Coroutine[Any, Any, None]:
        return self._streams.begin(kind, name, header)

    def write_stream(
        self, kind: ChannelKind, name: str, stream_id: StreamId, piece: bytes, start: int
    ) -> Coroutine[Any, Any, Written]:
        return self._streams.write(kind, name, stream_id, piece, start)

    def end_stream(
        self, kind: ChannelKind, name: str, stream_id: StreamId, status: StreamStatus
    ) -> Coroutine[Any, Any, Ended]:
        return self._streams.end(kind, name, stream_id, status)

    async def _request(self, send: Callable[[], Awaitable[int]]) -> int:
        if "answers" not in self._tasks and not self._failures.is_closed:
            self._keep("answers", self._requests.run)
        try:
            async with asyncio.timeout(self._failures.timeout):
                await self._requests.listening.wait()
                await self._pipeline.connected.wait()
        except TimeoutError:
            waited = Unavailable("it was not sent, since the answers of nodes can't come")
            raise self._failures.describe(waited, None) from None
        try:
            return await send()
        except Unavailable as error:
            raise self._failures.describe(error, None, was_repeated=False) from error


def _read_address(settings: PublisherSettings) -> AnyAddress:
    """Raises InvalidSettings."""
    try:
        provider = load_credentials(settings.redis_credentials) if settings.redis_credentials else None
    except ValueError as error:
        raise InvalidSettings(f"redis_credentials={settings.redis_credentials} {error}") from error
    try:
        return parse_address(settings.url, provider)
    except ValueError as error:
        raise InvalidSettings(f"the URL of Redis {error}") from error
