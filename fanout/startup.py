"""The check of Redis at start: one connection without retries, and a sentence with the remedy where it fails."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..shared.errors import StartError
from ..shared.keyspace import Keyspace
from .backend import backend_of
from .pubsub.link_state import Verbs
from .redis.address import AnyAddress
from .redis.connection import RedisConnection, connect
from .redis.errors import ConnectionLost, NotMaster, RedisError
from .redis.pipeline import CommandSender, DirectCommands
from .redis.sentinel import MasterDiscovery, NoMaster, Target
from .scripts import SERVER_ENSURE
from .server_life import SeenBeats

_NO_RIGHT_IN_SCRIPT = ("ERR The user executing the script can't", "ERR ACL failure in script")
"""What Redis 7.0 and later say, with the general code ERR, where an ACL forbids what a script does."""
_SLOT_IS_MOVING = ("MOVED", "ASK", "TRYAGAIN")
_RIGHTS = "docs/redis.md lists the rights that a node needs"


@dataclass(frozen=True, slots=True)
class StartupProbe:
    """What every node needs to do: subscribe and publish on `channel`, and run SERVER_ENSURE, which `ensure` does."""

    channel: bytes
    verbs: Verbs
    ensure: Callable[[CommandSender], Awaitable[None]]


async def check_server(address: Target, probe: StartupProbe, *, timeout: float) -> None:
    """Connect to it and run the probe, within `timeout` seconds. Raises StartError."""
    try:
        async with asyncio.timeout(timeout):
            connection = await connect(address, name="tannoy-check", on_pushes=lambda _: None, timeout=timeout)
            try:
                await _run_probe(connection, probe)
            finally:
                connection.abort()
    except RedisError as error:
        if not (probe.verbs.is_sharded and error.code in _SLOT_IS_MOVING):
            raise StartError(f"Redis at {address} (TANNOY_REDIS_URL) {_complaint(error, address)}") from error
    except (OSError, ConnectionLost, NoMaster) as error:
        raise StartError(f"Redis at {address} (TANNOY_REDIS_URL) {_complaint(error, address)}") from error


async def _run_probe(connection: RedisConnection, probe: StartupProbe) -> None:
    refusals: list[RedisError] = []
    connection.subscribe((probe.verbs.subscribe, probe.channel), refusals.append)
    await connection.send(probe.verbs.publish, probe.channel, b"")
    if refusals:
        raise refusals[0]
    await connection.send("SCRIPT", "LOAD", SERVER_ENSURE.source)
    await probe.ensure(DirectCommands(connection))


def _complaint(error: Exception, address: Target) -> str:
    """What is wrong and what would be right, as the end of a sentence that begins with the address."""
    server = address.address.server if isinstance(address, MasterDiscovery) else address
    match error:
        case RedisError():
            return _refusal(error)
        case NoMaster():
            return f"can't be found: {error}"
        case TimeoutError():
            return f"does not answer in time. {'Is it running?' if server.tls is None else 'Does it speak TLS there?'}"
        case ssl.SSLError():
            hint = "?ssl_ca_certs=FILE names who vouches for the server, ssl_certfile and ssl_keyfile are for us"
            return f"and we can't agree on TLS: {error}. {hint}"
        case _:
            return f"can't be reached: {error}. Is it running?"


def _refusal(error: RedisError) -> str:
    said = str(error)
    if isinstance(error, NotMaster):
        return f"is not what a node can work with: {said}"
    if error.code == "NOPERM" or said.startswith(_NO_RIGHT_IN_SCRIPT):
        return f"does not let us do what a node does: {said}. {_RIGHTS}"
    if error.code in ("NOAUTH", "WRONGPASS") or "AUTH" in said:
        hint = "put the right user and password into the URL: redis://user:password@host:port"
        return f"wants other credentials: {said}. {hint}"
    if error.code in ("MOVED", "CROSSSLOT"):
        return "is part of a Redis Cluster: then the URL has to begin with redis+cluster://"
    if error.code == "CLUSTERDOWN":
        return f"is part of a Redis Cluster that is down: redis-cli --cluster check tells why ({said})"
    if "unknown command" in said.lower():
        return f"is too old: version 7.0 or later is needed ({said})"
    return f"refuses to talk to us: {said}"


async def skip_recovery(address: AnyAddress, prefix: str, timeout: float) -> None:
    """Let a Redis that the caller has just started grant leases at once: no node can have held any there.

    Raises what `connect` raises, and StartError.
    """
    keyspace = Keyspace(prefix, address.database)
    for server, partitions in await backend_of(address, keyspace).servers():
        connection = await connect(server, name="tannoy-start", on_pushes=lambda _: None, timeout=timeout)
        try:
            async with asyncio.timeout(timeout):
                await connection.send("SCRIPT", "LOAD", SERVER_ENSURE.source)
                keys = ((keyspace.server(part),) for part in partitions)
                await asyncio.gather(*(connection.send(*SERVER_ENSURE.call(key, (0, *SeenBeats()))) for key in keys))
        finally:
            connection.abort()
