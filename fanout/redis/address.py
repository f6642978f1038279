"""Where Redis is and who we are to it, as `TANNOY_REDIS_URL` says it.

    redis://[user:password@]host[:6379][/database]                            one server
    rediss://…                                                                the same over TLS
    unix://[user:password@]/path/of/the.sock                                  the same over a Unix socket
    redis+sentinel://[user:password@]host[:26379],host…/master[/database]     the master that Sentinels name
    rediss+sentinel://…                                                       the same over TLS
    redis+cluster://[user:password@]host[:6379],host…                         all masters of a Redis Cluster
    rediss+cluster://…                                                        the same over TLS

What is wrong with a URL is told without quoting it: whoever leaves a `/` of a password as it is must not find the rest
of that password in a log.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote

from ...shared.settings import REDIS_SCHEMES

REDIS_PORT = 6379
SENTINEL_PORT = 26379
_TLS_PARAMETERS = (
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
_SENTINEL_PARAMETERS = ("sentinel_username", "sentinel_password", "sentinel_ssl")
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_IN_A_PASSWORD = "in a user or password, write / as %2F, ? as %3F, # as %23, @ as %40, : as %3A and % as %25"

_is_parameter_name = re.compile(r"[a-z_]{1,40}").fullmatch


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a server is, and who we are to it. `host` may be the path of a Unix socket: then there is no `port`."""

    host: str
    port: int | None
    username: str | None
    password: str | None
    database: int
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NamedMaster:
    """A master, as Sentinels name it. Each failover raises the epoch."""

    server: RedisAddress
    epoch: int


@dataclass(slots=True, eq=False)
class SentinelAddress:
    """A master by its name, and the Sentinels that know where it is. Shared by all connections of a node.

    `server` is where the master would be, but for host and port: who we are to it, and whether over TLS.
    """

    sentinels: tuple[RedisAddress, ...]
    master: str
    server: RedisAddress
    newest: NamedMaster | None = None
    """What the Sentinels said last."""
    informing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever keeps `newest` up to date."""
    _next_move: asyncio.Future[None] | None = None

    def at(self, host: str, port: int) -> RedisAddress:
        return replace(self.server, host=host, port=port)

    def learn(self, named: NamedMaster) -> bool:
        """Whether it is another server than before."""
        is_another = self.newest is None or self.newest.server != named.server
        self.newest = named
        if is_another and self._next_move is not None and not self._next_move.done():
            self._next_move.set_result(None)
        return is_another

    def next_move(self) -> "asyncio.Future[None]":
        """Done as soon as the Sentinels name another server."""
        if self._next_move is None or self._next_move.done():
            self._next_move = asyncio.get_running_loop().create_future()
        return self._next_move

    def moved_from(self, named: NamedMaster) -> str | None:
        """Why a connection that rests on `named` has to be given up; None: it has not.

        Only a newer epoch counts: a Sentinel that was cut off, or has slept, may still name the master of yesterday.
        """
        newest = self.newest
        if newest is None or newest.epoch <= named.epoch or newest.server == named.server:
            return None
        return f"the Sentinels name {newest.server} as the master now"

    def __str__(self) -> str:
        sentinels = f"{self.master} of Sentinels {', '.join(map(str, self.sentinels))}"
        return sentinels if self.newest is None else f"{self.newest.server} ({sentinels})"


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """A Redis Cluster, by some of its servers: one that answers tells of all others."""

    seeds: tuple[RedisAddress, ...]

    def at(self, host: str, port: int) -> RedisAddress:
        """Another server of it: we are the same to all, and over TLS to all or none."""
        return replace(self.seeds[0], host=host, port=port)

    def __str__(self) -> str:
        return f"the cluster of {', '.join(map(str, self.seeds))}"


Address = RedisAddress | SentinelAddress
"""What `connect` connects to: one server at a time."""
AnyAddress = Address | ClusterAddress


def parse_address(url: str) -> AnyAddress:
    """Raises ValueError: what is wrong with the URL, and what is allowed."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in REDIS_SCHEMES:
        raise ValueError(f"has to begin with one of {', '.join(f'{known}://' for known in REDIS_SCHEMES)}")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    username, _, password = (unquote(word) or None for word in credentials.partition(":"))
    parameters = _parameters(scheme, query)
    tls = _tls(parameters) if scheme.startswith("rediss") else None
    if scheme == "unix":
        database = _database(parameters.get("db", ""))
        return RedisAddress("/" + unquote(path), None, username, password, database, None)
    if scheme.endswith("+cluster"):
        if path.strip("/"):
            raise ValueError("names a database, and a Redis Cluster has only one")
        places = _places(hosts, REDIS_PORT, "server")
        return ClusterAddress(tuple(RedisAddress(host, port, username, password, 0, tls) for host, port in places))
    if not scheme.endswith("+sentinel"):
        database = _database(parameters.get("db") or path.strip("/"))
        host, port = _host_and_port(hosts, REDIS_PORT)
        return RedisAddress(host or "127.0.0.1", port, username, password, database, tls)

    master, _, database_text = path.partition("/")
    if not master:
        raise ValueError(f"names no master: {scheme}://host:port,host:port/NAME-OF-THE-MASTER")
    database = _database(parameters.get("db") or database_text.strip("/"))
    server = RedisAddress("", REDIS_PORT, username, password, database, tls)
    return SentinelAddress(_sentinels(hosts, parameters, tls), unquote(master), server)


def _sentinels(hosts: str, parameters: Mapping[str, str], tls: ssl.SSLContext | None) -> tuple[RedisAddress, ...]:
    who = (parameters.get("sentinel_username"), parameters.get("sentinel_password"))
    to_sentinels = tls if _flag(parameters, "sentinel_ssl") else None
    places = _places(hosts, SENTINEL_PORT, "Sentinel")
    return tuple(RedisAddress(host, port, *who, 0, to_sentinels) for host, port in places)


def _places(hosts: str, default_port: int, what: str) -> list[tuple[str, int]]:
    """Each host with its port, of several."""
    places = [_host_and_port(text, default_port) for text in hosts.split(",")]
    if not all(host for host, _ in places):
        raise ValueError(f"has a {what} without a host")
    return places


def _parameters(scheme: str, query: str) -> dict[str, str]:
    allowed = [] if scheme.endswith("+cluster") else ["db"]
    if scheme.startswith("rediss"):
        allowed += _TLS_PARAMETERS
    if scheme.endswith("+sentinel"):
        allowed += _SENTINEL_PARAMETERS
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    for name in parameters:
        if name in allowed:
            continue
        if name in _TLS_PARAMETERS:
            raise ValueError(
                f"{name} is for TLS: then the URL has to begin with {scheme.replace('redis', 'rediss')}://"
            )
        what = name if _is_parameter_name(name) else "what stands behind the ?"
        raise ValueError(
            f"{what} is no parameter of {scheme}://, which has {', '.join(allowed) or 'none'} ({_IN_A_PASSWORD})"
        )
    return parameters


def _host_and_port(text: str, default_port: int) -> tuple[str, int]:
    host, _, port = text.partition(":")
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            raise ValueError("has a [ that is no IPv6 address in brackets")
        port = port[1:]
    if "," in text:
        raise ValueError(
            "names several hosts: for Sentinels, begin it with redis+sentinel://, for a Redis Cluster with redis+cluster://"
        )
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError(
            f"has a port that is no number from 1 to 65535 (an IPv6 address stands in []; {_IN_A_PASSWORD})"
        )
    return unquote(host), int(port or default_port)


def _flag(parameters: Mapping[str, str], name: str) -> bool:
    """True unless it says otherwise."""
    flag = _FLAGS.get(parameters.get(name, "true").lower())
    if flag is None:
        raise ValueError(f"has a {name} that is neither true nor false")
    return flag


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("has a database that is no number")
    return int(text or 0)


def _tls(parameters: Mapping[str, str]) -> ssl.SSLContext:
    """Checks the server's certificate and its name, unless the parameters say otherwise."""
    files = {name: parameters[name] for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if name in parameters}
    try:
        tls = ssl.create_default_context(cafile=files.get("ssl_ca_certs"))
        if "ssl_certfile" in files:
            # Given even if it is empty: otherwise OpenSSL asks for it on the terminal.
            password = parameters.get("ssl_password", "")
            tls.load_cert_chain(files["ssl_certfile"], files.get("ssl_keyfile"), password)
    except OSError as error:
        named = ", ".join(f"{name}={path}" for name, path in files.items())
        raise ValueError(f"{named} can't be read: {error.strerror or error}") from error
    reqs = parameters.get("ssl_cert_reqs", "required")
    if reqs not in ("required", "none"):
        raise ValueError("has a ssl_cert_reqs that is neither required nor none")
    tls.check_hostname = _flag(parameters, "ssl_check_hostname") and reqs != "none"
    if reqs == "none":
        tls.verify_mode = ssl.CERT_NONE
    return tls
