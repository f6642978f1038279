"""Questions to a server by redis-py, on a connection of their own.

This module is imported where it is first needed: to import redis-py takes about 75 ms. Nothing here retries, and
nothing waits for a peer that is gone.
"""

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError as AnyError
from redis.exceptions import TimeoutError as NoAnswer
from redis.maint_notifications import MaintNotificationsConfig

from .dial import Route
from .errors import ConnectionLost, RedisError

SHUTDOWN_TIMEOUT = 1.0
"""Seconds that a TLS connection to a frozen server is kept after it was closed."""


class _Connection(Connection):
    """Closes without waiting for the peer: a frozen server would delay whoever asks several of them."""

    async def disconnect(self, nowait: bool = True, *rest: Any, **why: Any) -> None:
        await super().disconnect(True, *rest, **why)

    async def send_packed_command(self, *command: Any, **options: Any) -> None:
        """Raises ConnectionError also where the peer has reset the connection: uvloop raises RuntimeError then."""
        try:
            await super().send_packed_command(*command, **options)
        except RuntimeError as closed:
            raise NoConnection(f"the connection was closed before the command was sent: {closed}") from closed


class _TlsConnection(_Connection, SSLConnection):
    """The same with a context of our own, and a name for the certificate that may differ from the host."""

    def __init__(self, *, context: ssl.SSLContext, tls_name: str, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]  # redis-py has no types for some
        self.ssl_context.context = context
        self._tls_name = tls_name

    def _connection_arguments(self) -> Mapping[str, Any]:
        names = {"server_hostname": self._tls_name, "ssl_shutdown_timeout": SHUTDOWN_TIMEOUT}
        inherited = super()._connection_arguments()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return {**cast("Mapping[str, Any]", inherited), **names}


async def ask(route: Route, commands: Sequence[Sequence[str]], timeout: float) -> list[Any]:
    """One reply for each command; an error is a RedisError in the list. They are written in one go.

    redis-py waits `timeout` seconds to connect and for each reply: who calls this bounds all of it.

    redis-py converts the replies of some commands of one word (PING becomes True), and leaves all others as they are.

    Raises OSError, ConnectionLost, and RedisError where Redis refuses the credentials.
    """
    options: dict[str, Any] = {}
    if route.login is not None:
        options["username"], options["password"] = route.login
    if route.tls is not None:
        options |= {"context": route.tls, "tls_name": route.tls_name}
    pool = ConnectionPool(
        _Connection if route.tls is None else _TlsConnection,
        host=route.host,
        port=route.server.port,
        protocol=3,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        driver_info=None,
        **options,
    )
    client = Redis.from_pool(pool)
    try:
        pipeline = client.pipeline(transaction=False)
        for words in commands:
            pipeline.execute_command(*words)  # pyright: ignore[reportUnknownMemberType]
        replies = await pipeline.execute(raise_on_error=False)
    except (NoConnection, NoAnswer, AnyError) as error:
        raise _translate(error) from error
    finally:
        await client.aclose()
    return [_error_of(reply) if isinstance(reply, AnyError) else reply for reply in replies]


def _translate(error: AnyError) -> Exception:
    """The exception that our own connections raise for the same."""
    if isinstance(error, (AuthenticationError, ResponseError)):
        return _error_of(error)
    if isinstance(error.__context__, OSError):
        return error.__context__
    return TimeoutError() if isinstance(error, NoAnswer) else ConnectionLost(str(error))


def _error_of(error: AnyError) -> RedisError:
    """redis-py cuts the code off the texts of errors that it knows."""
    code = getattr(error, "status_code", None)
    return RedisError(f"{code} {error}" if code else str(error))
