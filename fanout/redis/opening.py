"""Opening a connection to Redis: log in, and check that its server is a master and stays one."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from ...shared.logs import get_logger
from .address import RedisAddress
from .connection import Pushes, RedisConnection, Reply, Word
from .dial import Route, try_routes
from .errors import NotMaster, RedisError
from .query import query_server
from .role_watch import NO_MASTER_CODES, RoleWatch, tells_role, why_not_master
from .sentinel import Target

NAMED_MASTER_TIMEOUT = 1.0
"""Seconds to connect to the master that Sentinels name. If it is frozen they will soon name another one."""
ROLE_REPLY_MAX = 200
"""Characters of a reply to ROLE of unknown form that are kept for the log."""
_ROLE = ("ROLE",)

_log = get_logger("tannoy.redis")


async def connect(target: Target, *, name: str, on_pushes: Callable[[Pushes], None], timeout: float) -> RedisConnection:
    """Connect and log in, within `timeout` seconds, to a server that has to be a master.

    With Sentinels, they are asked where it is. The connection closes by itself once its server is no longer a master,
    or Sentinels with a newer configuration name another one. `name` is that of CLIENT LIST.

    Raises OSError, TimeoutError, ConnectionLost, CannotConnect, NoMaster, NotMaster; RedisError where Redis refuses the
    credentials, is too old or still loading.
    """
    if isinstance(target, RedisAddress):
        return await _connect_to_master(target, name, on_pushes, timeout, why_moved=lambda: None)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    named = await target.locate(query_server)
    left = min(deadline - loop.time(), NAMED_MASTER_TIMEOUT)
    connecting = _connect_to_master(named.server, name, on_pushes, left, partial(target.why_moved, named))
    try:
        return await target.race_move(connecting, discard=RedisConnection.abort)
    except TimeoutError as error:
        raise TimeoutError(f"{named.server} does not answer") from error


async def _connect_to_master(
    server: RedisAddress,
    name: str,
    on_pushes: Callable[[Pushes], None],
    timeout: float,
    why_moved: Callable[[], str | None],
) -> RedisConnection:
    return await try_routes(server, lambda route: _open_to_master(route, name, on_pushes, why_moved), timeout=timeout)


async def _open_to_master(
    route: Route, name: str, on_pushes: Callable[[Pushes], None], why_moved: Callable[[], str | None]
) -> RedisConnection:
    server = route.server
    select = (("SELECT", server.database),) if server.database else ()
    # PING: refused by a replica without its master's data, and by a server that is still loading.
    connection, replies = await _open(route, name, on_pushes, (_ROLE, *select, ("PING",)))
    role = replies[0]
    if not tells_role(role):
        connection.role_refusal = str(role)[:ROLE_REPLY_MAX]
        role = [connection.greeting.get(b"role")]
    if (reason := why_not_master(role)) is not None:
        connection.abort()
        raise NotMaster(f"{server} {reason}")

    def give_up(why: str) -> None:
        _log.warning("leaving this Redis server", redis=str(server), reason=why)
        connection.abort(f"{server} {why}")

    connection.role_watch = watch = RoleWatch(
        query=connection.send,
        asks_role=connection.role_refusal is None,
        is_reading=lambda: connection.is_reading,
        why_moved=why_moved,
        give_up=give_up,
    )
    connection.lost.add_done_callback(lambda _: watch.stop())
    return connection


async def _open(
    route: Route, name: str, on_pushes: Callable[[Pushes], None], commands: Sequence[Sequence[Word]]
) -> tuple[RedisConnection, list[Reply]]:
    """A connection that has logged in with HELLO, and the replies to the commands that followed it."""
    loop = asyncio.get_running_loop()
    connection = RedisConnection(on_pushes)
    credentials = ("AUTH", *route.login) if route.login is not None else ()
    hello = ("HELLO", "3", *credentials, "SETNAME", name)
    port, tls, tls_name = route.server.port, route.tls, route.tls_name
    try:
        if port is None:
            await loop.create_unix_connection(lambda: connection, route.host)
        else:
            await loop.create_connection(lambda: connection, route.host, port, ssl=tls, server_hostname=tls_name)
        # All in one go, as plain futures: a task that is cancelled before it begins would leave its reply unread.
        sent = [connection.send(*words) for words in (hello, *commands)]
        answers = await asyncio.gather(*sent, return_exceptions=True)
        hello_reply, *replies = map(_reply_or_refusal, (hello, *commands), answers)
    except BaseException:
        connection.abort()
        raise
    if isinstance(hello_reply, dict):
        connection.greeting = hello_reply
    return connection, replies


def _reply_or_refusal(words: Sequence[Word], answer: Reply | BaseException) -> Reply:
    """The reply. An error is raised, and the first one counts: a refused HELLO makes the commands behind it fail too.

    But ROLE may be refused, and its error is a value: services that show their clients no replicas leave it out. It is
    raised if it says that the server is no master, or not yet.
    """
    if isinstance(answer, RedisError) and words == _ROLE and answer.code not in NO_MASTER_CODES:
        return answer
    if isinstance(answer, BaseException):
        raise answer
    return answer
