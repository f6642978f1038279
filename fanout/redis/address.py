"""Where Redis is and how a node logs in to it, read from `TANNOY_REDIS_URL`.

    redis://[user:password@]host[:6379][/database]                            one server
    rediss://…                                                                the same over TLS
    unix://[user:password@]/path/of/the.sock                                  the same over a Unix socket
    redis+sentinel://[user:password@]host[:26379],host…/master[/database]     the master that these Sentinels name
    rediss+sentinel://…                                                       the same over TLS
    redis+cluster://[user:password@]host[:6379],host…                         all masters of a Redis Cluster
    rediss+cluster://…                                                        the same over TLS

Error messages never quote the URL: an unescaped `/` in a password ends the user information early, and the rest of the
password would get into the log as a part of the path.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    """One server, and how to log in. `host` may be the path of a Unix socket: then `port` is None."""

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
class SentinelAddress:
    """A master by its name, and the Sentinels that know where it is.

    `server` holds what a connection to the master needs besides its host and port: user, password, database and TLS.
    """

    sentinels: tuple[RedisAddress, ...]
    master: str
    server: RedisAddress

    def at(self, host: str, port: int) -> RedisAddress:
        """The address of the server that the Sentinels name."""
        return replace(self.server, host=host, port=port)

    @property
    def database(self) -> int:
        return self.server.database

    def __str__(self) -> str:
        return f"{self.master} of Sentinels {', '.join(map(str, self.sentinels))}"


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """A Redis Cluster by some of its servers. Any one of them that answers lists all the others."""

    seeds: tuple[RedisAddress, ...]

    def at(self, host: str, port: int) -> RedisAddress:
        """Another server of the cluster. User, password and TLS are the same for all of them."""
        return replace(self.seeds[0], host=host, port=port)

    @property
    def database(self) -> int:
        """Always 0: a Redis Cluster has no other."""
        return 0

    def __str__(self) -> str:
        return f"the cluster of {', '.join(map(str, self.seeds))}"


AnyAddress = RedisAddress | SentinelAddress | ClusterAddress


def parse_address(url: str) -> AnyAddress:
    """The address in a URL. Raises ValueError: its message says what is wrong and what is allowed, without a quote."""
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
        endpoints = _endpoints(hosts, REDIS_PORT, "server")
        return ClusterAddress(tuple(RedisAddress(host, port, username, password, 0, tls) for host, port in endpoints))
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
    credentials = (parameters.get("sentinel_username"), parameters.get("sentinel_password"))
    sentinel_tls = tls if _flag(parameters, "sentinel_ssl") else None
    endpoints = _endpoints(hosts, SENTINEL_PORT, "Sentinel")
    return tuple(RedisAddress(host, port, *credentials, 0, sentinel_tls) for host, port in endpoints)


def _endpoints(hosts: str, default_port: int, what: str) -> list[tuple[str, int]]:
    """(host, port) of each entry of a list that is separated by commas. `what` names an entry in the error."""
    endpoints = [_host_and_port(text, default_port) for text in hosts.split(",")]
    if not all(host for host, _ in endpoints):
        raise ValueError(f"has a {what} without a host")
    return endpoints


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
        what = name if _is_parameter_name(name) else "the text behind the ?"
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
    """The parameter as a boolean; True if it is not given."""
    flag = _FLAGS.get(parameters.get(name, "true").lower())
    if flag is None:
        raise ValueError(f"has a {name} that is neither true nor false")
    return flag


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("has a database that is no number")
    return int(text or 0)


def _tls(parameters: Mapping[str, str]) -> ssl.SSLContext:
    """A context that verifies the server's certificate and host name, unless the parameters turn that off."""
    files = {name: parameters[name] for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if name in parameters}
    try:
        tls = ssl.create_default_context(cafile=files.get("ssl_ca_certs"))
        if "ssl_certfile" in files:
            # Passed even if it is empty: without it OpenSSL would prompt for a password on the terminal.
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
