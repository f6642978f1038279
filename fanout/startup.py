"""The check of Redis at start: one connection without retries, and a sentence with the remedy where it fails.

What a node can do without, and a managed service may leave out, is a warning instead. docs/redis.md lists the services.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..shared.errors import StartError
from ..shared.keyspace import Keyspace
from .backend import RedisBackend, backend_of
from .history.publisher import PUBLISHING_SCRIPTS
from .history.reader import HistoryRules
from .probe import publish_probe
from .pubsub.verbs import Verbs
from .redis.address import AnyAddress, RedisAddress
from .redis.connection import RedisConnection, Reply, Word
from .redis.errors import NO_RIGHT_IN_SCRIPT, CannotConnect, ConnectionLost, NotMaster, RedisError
from .redis.opening import connect
from .redis.pipeline import CommandSender, DirectCommands
from .redis.script import Script, load_scripts
from .redis.sentinel import MasterDiscovery, NoMaster, Target
from .redis.server_description import NO_EVICTION, ServerDescription, describe_server
from .scripts import COORDINATION_PROBE, SERVER_ENSURE, UNREADABLE_REMOVE
from .server_life import UNKNOWN_IDENTITY, SeenData, ServerLives

_SLOT_IS_MOVING = ("MOVED", "ASK", "TRYAGAIN")
_RIGHTS = "docs/redis.md lists the rights that a node needs"
_NEEDED = "a node needs Redis 7.0 or later, or Valkey"
_find_unknown_command = re.compile(r"unknown command [`'\"]?([\w|-]+)", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class StartupProbe:
    """What every node needs to do: subscribe and publish on `channel`, and run scripts.

    `run_scripts` runs SERVER_ENSURE and COORDINATION_PROBE. `server_key` is where SERVER_ENSURE stores which server it
    has found.
    """

    channel: bytes
    verbs: Verbs
    run_scripts: Callable[[CommandSender], Awaitable[None]]
    server_key: bytes


async def check_server(address: Target, probe: StartupProbe, *, timeout: float) -> list[str]:
    """Connect to it and run the probe, within `timeout` seconds. Returns warnings. Raises StartError."""
    warnings: list[str] = []
    async with _checked(address, timeout, slot_may_move=probe.verbs.is_sharded) as (connection, description):
        warnings = await _run_probe(connection, probe, description)
    return warnings


async def check_publishing(
    backend: RedisBackend, keyspace: Keyspace, rules: HistoryRules, lives: ServerLives, *, timeout: float
) -> None:
    """Connect once to each server, without retries, and publish on a channel without subscribers.

    `timeout` is in seconds, for each server. Raises StartError.
    """
    for server, partitions in await backend.servers(timeout):
        async with _checked(server, timeout, slot_may_move=backend.verbs.is_sharded) as (connection, _):
            sharded = backend.verbs.is_sharded
            await load_scripts(connection, [each.sharded if sharded else each for each in PUBLISHING_SCRIPTS])
            commands = _ShardedCommands(connection) if sharded else DirectCommands(connection)
            await lives.on_connected(commands, partitions)
            await publish_probe(commands, keyspace, rules)(partitions[0])


async def check_reachable(backend: RedisBackend, lives: ServerLives, *, timeout: float) -> None:
    """Connect once to each server, without retries, and look which one it is.

    `timeout` is in seconds, for each server. Raises StartError.
    """
    for server, partitions in await backend.servers(timeout):
        async with _checked(server, timeout, slot_may_move=backend.verbs.is_sharded) as (connection, _):
            await load_scripts(connection, (SERVER_ENSURE, UNREADABLE_REMOVE))
            await lives.on_connected(DirectCommands(connection), partitions)


class _ShardedCommands(DirectCommands):
    """To one master of a Redis Cluster."""

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        return super().run_script(script.sharded, keys, arguments)


@asynccontextmanager
async def _checked(
    address: Target, timeout: float, *, slot_may_move: bool
) -> AsyncGenerator[tuple[RedisConnection, ServerDescription]]:
    """A connection to a server, for a check within `timeout` seconds: what fails in it is raised as StartError.

    `slot_may_move`: a slot that has just moved ends the check, and is no error.
    """
    at = f"Redis at {address} (TANNOY_REDIS_URL)"
    host = address.host if isinstance(address, RedisAddress) else ""
    description = describe_server(host, {})
    try:
        async with asyncio.timeout(timeout):
            connection = await connect(address, name="tannoy-check", on_pushes=lambda _: None, timeout=timeout)
            if connection.role_watch is not None:
                connection.role_watch.stop()  # `timeout` is how long a slow server may take here
            try:
                description = await _ask_description(connection, host)
                if description.is_too_old:
                    raise StartError(f"{at} is too old: it is Redis {description.version}, and {_NEEDED}")
                yield connection, description
            finally:
                connection.abort()
    except RedisError as error:
        if not (slot_may_move and error.code in _SLOT_IS_MOVING):
            raise StartError(f"{at} {_complaint(error, address)}{_service_hint(description)}") from error
    except (OSError, ConnectionLost, NoMaster) as error:
        raise StartError(f"{at} {_complaint(error, address)}") from error


async def _ask_description(connection: RedisConnection, host: str) -> ServerDescription:
    questions = (connection.send("INFO", section) for section in ("server", "memory"))
    replies = await asyncio.gather(*questions, return_exceptions=True)
    return describe_server(host, connection.greeting, replies)


async def _run_probe(connection: RedisConnection, probe: StartupProbe, description: ServerDescription) -> list[str]:
    refusals: list[RedisError] = []
    connection.subscribe((probe.verbs.subscribe, probe.channel), refusals.append)
    await connection.send(probe.verbs.publish, probe.channel, b"")
    if refusals:
        raise refusals[0]
    await load_scripts(connection, (SERVER_ENSURE, COORDINATION_PROBE, UNREADABLE_REMOVE))
    await probe.run_scripts(DirectCommands(connection))
    tells_identity = await connection.send("HGET", probe.server_key, "id") != UNKNOWN_IDENTITY
    return list(_warnings(connection, description, tells_identity=tells_identity))


def _warnings(connection: RedisConnection, description: ServerDescription, *, tells_identity: bool) -> Generator[str]:
    if connection.role_refusal is not None:
        yield "Redis does not tell its role: that it has become a replica is noticed when it refuses a write"
    if not tells_identity:
        yield "Redis tells no replication id to scripts: what it loses between two heartbeats may go unnoticed"
    if not connection.takes_script_flags:
        yield "Redis refuses the flag allow-oom of scripts: while it is out of memory, heartbeats fail too"
    if description.eviction_policy not in (None, NO_EVICTION):
        yield (
            f"maxmemory-policy of Redis is {description.eviction_policy}: it may delete what the cluster rests on. "
            f"Set it to {NO_EVICTION}"
        )


def _service_hint(description: ServerDescription) -> str:
    if description.service is None:
        return ""
    return f". It is {description.service}: docs/redis.md says what each service lacks"


def _complaint(error: Exception, address: Target) -> str:
    """What is wrong and what would be right, as the end of a sentence that begins with the address."""
    server = address.address.server if isinstance(address, MasterDiscovery) else address
    match error:
        case RedisError():
            return _refusal(error, server)
        case NoMaster():
            return f"can't be found: {error}"
        case CannotConnect():
            return f"can't be connected to: {error}"
        case TimeoutError():
            return f"does not answer in time. {'Is it running?' if server.tls is None else 'Does it speak TLS there?'}"
        case ssl.SSLError():
            hint = "?ssl_ca_certs=FILE names who vouches for the server, ssl_certfile and ssl_keyfile are for us"
            return f"and we can't agree on TLS: {error}. {hint}"
        case _:
            return f"can't be reached: {error}. Is it running?"


def _refusal(error: RedisError, server: RedisAddress) -> str:
    said = str(error)
    if isinstance(error, NotMaster):
        return f"is not what a node can work with: {said}"
    if (unknown := _find_unknown_command(said)) is not None:
        command = unknown.group(1).upper()
        needed = f": it speaks no RESP3, and {_NEEDED}" if command == "HELLO" else ", which a node needs"
        return f"has no command {command}{needed} ({said})"
    if error.code == "NOPROTO":
        return f"speaks no RESP3, and {_NEEDED} ({said})"
    if error.code == "NOPERM" or said.startswith(NO_RIGHT_IN_SCRIPT):
        return f"does not let us do what a node does: {said}. {_RIGHTS}"
    if error.code in ("NOAUTH", "WRONGPASS") or "AUTH" in said:
        hint = "put the right user and password into the URL: redis://user:password@host:port"
        if server.provider is not None:
            hint = f"{server.provider} has to give those that are valid now"
        return f"wants other credentials: {said}. {hint}"
    if error.code in ("MOVED", "CROSSSLOT"):
        return "is part of a Redis Cluster: then the URL has to begin with redis+cluster://"
    if error.code == "CLUSTERDOWN":
        return f"is part of a Redis Cluster that is down: redis-cli --cluster check tells why ({said})"
    return f"refuses to talk to us: {said}"


async def skip_recovery(address: AnyAddress, prefix: str, timeout: float) -> None:
    """Let a Redis that the caller has just started grant leases at once: no node can have held any there.

    Raises what `connect` raises, and StartError.
    """
    keyspace = Keyspace(prefix, address.database)
    for server, partitions in await backend_of(address, keyspace).servers(timeout):
        connection = await connect(server, name="tannoy-start", on_pushes=lambda _: None, timeout=timeout)
        try:
            async with asyncio.timeout(timeout):
                await load_scripts(connection, (SERVER_ENSURE,))
                commands = DirectCommands(connection)
                keys = ((keyspace.server(part),) for part in partitions)
                arguments = (0, *SeenData())
                await asyncio.gather(*(commands.run_script(SERVER_ENSURE, key, arguments) for key in keys))
        finally:
            connection.abort()
