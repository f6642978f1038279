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

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ...shared.ip_addresses import is_ip_address
from ...shared.redis_urls import REDIS_SCHEMES
from .credentials import SETTING as CREDENTIALS_SETTING
from .credentials import ProvidedCredentials
from .host import HOST_MAX, why_no_host
from .tls import TlsOptions
from .url_parameters import IN_A_PASSWORD, read_database, read_flag, read_parameters, read_tls

if TYPE_CHECKING:
    from .server_url import ServerUrl

REDIS_PORT = 6379
SENTINEL_PORT = 26379


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One server, and how to log in. `host` may be the path of a Unix socket: then `port` is None."""

    host: str
    port: int | None
    username: str | None
    password: str | None = field(repr=False)
    database: int
    tls: TlsOptions | None
    provider: ProvidedCredentials | None = None
    """Gives user and password for each connection, instead of those above."""
    announced_by: tuple[str, ...] = field(default=(), compare=False)
    """Where other servers have told of this one: the host names that the URL has for those."""

    @property
    def tls_names(self) -> tuple[str, ...]:
        """The names one of which the server's certificate has to be for.

        A server that others tell of by its IP address seldom has a certificate for that. One for a name in the URL is
        as good: whoever has it is trusted to tell where the servers are.
        """
        return (*self.announced_by, self.host) if is_ip_address(self.host) else (self.host,)

    def at(self, host: str, port: int, announced_by: tuple["RedisAddress", ...]) -> "RedisAddress":
        """Another server, like this one in all else. Raises ValueError for what is no host or port."""
        if (reason := why_no_host(host)) is not None:
            raise ValueError(f"{host[:HOST_MAX]!r} {reason}")
        if not 1 <= port <= 65_535:
            raise ValueError(f"{host}:{port} has a port that is no number from 1 to 65535")
        names = dict.fromkeys(each.host for each in announced_by if not is_ip_address(each.host))
        return replace(self, host=host, port=port, announced_by=tuple(names))

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
        """The address of the server that the Sentinels name. Raises ValueError for what is no host or port."""
        return self.server.at(host, port, self.sentinels)

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
        """Another server of the cluster. User, password and TLS are the same for all of them.

        Raises ValueError for what is no host or port.
        """
        return self.seeds[0].at(host, port, self.seeds)

    @property
    def database(self) -> int:
        """Always 0: a Redis Cluster has no other."""
        return 0

    def __str__(self) -> str:
        return f"the cluster of {', '.join(map(str, self.seeds))}"


AnyAddress = RedisAddress | SentinelAddress | ClusterAddress


def parse_address(url: str, provider: ProvidedCredentials | None = None) -> AnyAddress:
    """The address in a URL. Raises ValueError: its message says what is wrong and what is allowed, without a quote.

    `provider` gives user and password of the servers, but not of Sentinels; the URL may have none then.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in REDIS_SCHEMES:
        raise ValueError(f"has to begin with one of {', '.join(f'{known}://' for known in REDIS_SCHEMES)}")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    login, at_sign, hosts = authority.rpartition("@")
    if provider is not None and at_sign:
        raise ValueError(f"has a user or password, and so gives {CREDENTIALS_SETTING}: only one of them can")
    parameters = read_parameters(scheme, query)
    tls = read_tls(parameters) if scheme.startswith("rediss") else None
    common = RedisAddress("", REDIS_PORT, None, None, 0, tls, provider)
    if scheme == "unix":
        return _unix_server(replace(common, database=read_database(parameters.get("db", ""))), f"{authority}/{path}")
    if scheme.endswith("+cluster"):
        if path.strip("/"):
            raise ValueError("names a database, and a Redis Cluster has only one")
        return ClusterAddress(_servers(common, login + at_sign, hosts, "server"))
    if scheme.endswith("+sentinel"):
        return _sentinels(common, login + at_sign, hosts, path, parameters)
    common = replace(common, database=read_database(parameters.get("db") or path.strip("/")))
    return _server(common, login + at_sign, hosts)


def _sentinels(
    common: RedisAddress, login: str, hosts: str, path: str, parameters: Mapping[str, str]
) -> SentinelAddress:
    master, _, database = path.partition("/")
    if not master:
        raise ValueError("names no master: redis+sentinel://host:port,host:port/NAME-OF-THE-MASTER")
    server = replace(common, database=read_database(parameters.get("db") or database.strip("/")))
    sentinel = replace(
        common,
        port=SENTINEL_PORT,
        username=parameters.get("sentinel_username"),
        password=parameters.get("sentinel_password"),
        tls=common.tls if read_flag(parameters, "sentinel_ssl") else None,
        provider=None,
    )
    sentinels = _servers(sentinel, "", hosts, "Sentinel")
    return SentinelAddress(sentinels, unquote(master), replace(_server(server, login, ""), host=""))


def _servers(common: RedisAddress, login: str, hosts: str, what: str) -> tuple[RedisAddress, ...]:
    """Each server of a list that is separated by commas. `what` names one in the error."""
    texts = hosts.split(",")
    if not all(text.partition(":")[0] for text in texts):
        raise ValueError(f"has a {what} without a host")
    return tuple(_server(common, login, text) for text in texts)


def _server(common: RedisAddress, login: str, host: str) -> RedisAddress:
    """`common` with the host and the port, if it has one, of `host`, and with the login, if there is one.

    `login` is empty or ends with its @.
    """
    _check_host_and_port(host)
    parts = _read(f"redis://{login}{host}")
    name = parts.host or "127.0.0.1"
    if (reason := why_no_host(name)) is not None:
        raise ValueError(f"has a host that {reason} ({IN_A_PASSWORD})")
    if login:
        common = replace(common, username=parts.username, password=parts.password)
    return replace(common, host=name, port=parts.port or common.port)


def _unix_server(common: RedisAddress, rest: str) -> RedisAddress:
    parts = _read(f"unix://{rest}")
    if parts.path in (None, "/") or "\0" in parts.path:
        raise ValueError(f"has no path of a Unix socket ({IN_A_PASSWORD})")
    return replace(common, host=parts.path, port=None, username=parts.username, password=parts.password)


def _read(url: str) -> "ServerUrl":
    """As redis-py reads it, whose errors are not shown: they quote parts of the password."""
    from .server_url import read_url

    try:
        return read_url(url)
    except ValueError:
        raise ValueError(f"can't be read ({IN_A_PASSWORD})") from None


def _check_host_and_port(text: str) -> None:
    _, _, port = text.partition(":")
    if text.startswith("["):
        _, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            raise ValueError("has a [ that is no IPv6 address in brackets")
        port = port[1:]
    if "," in text:
        raise ValueError(
            "names several hosts: for Sentinels, begin it with redis+sentinel://, for a Redis Cluster with redis+cluster://"
        )
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError(
            f"has a port that is no number from 1 to 65535 (an IPv6 address stands in []; {IN_A_PASSWORD})"
        )
