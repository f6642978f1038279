"""The ways to a server: each address of its name, each name that its certificate may have, with what logs in there.

A name may have several addresses, and the first of them may be one that swallows packets. So each gets its share of
the time, and the one that was tried first in vain is the last to be tried first again.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ...shared.ip_addresses import is_ip_address
from .address import RedisAddress
from .credentials import CREDENTIALS_TIMEOUT
from .errors import CannotConnect, ConnectionLost, RedisError

SHARE_MIN = 0.25
"""Seconds that each address has at least. With very many addresses an attempt does not come to the last ones."""
_REMEMBERED_MAX = 1_000
"""Addresses that are remembered: far more than a cluster has servers."""
_NAME_MISMATCHES = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH: the certificate is valid, for other names."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route:
    """One way to a server. `host` is one address of its name, or the path of its Unix socket."""

    server: RedisAddress
    host: str
    login: tuple[str, str] | None = field(repr=False)
    """User and password; None: without."""
    tls: ssl.SSLContext | None
    tls_name: str | None
    """The name that the server's certificate has to be for; None without TLS."""


class _Experience:
    """What attempts have shown. All connections of the process share it, so that each need not find out by itself."""

    def __init__(self) -> None:
        self._led_in_vain: dict[tuple[str, int | None], float] = {}
        self._fitting_names: dict[tuple[str, ...], str] = {}

    def order(self, hosts: list[str], port: int | None) -> list[str]:
        """In the order of the resolver, but those that were tried first in vain behind the others, the latest last."""
        return sorted(hosts, key=lambda host: self._led_in_vain.get((host, port), 0.0))

    def order_names(self, names: tuple[str, ...]) -> list[str]:
        return sorted(names, key=lambda name: name != self._fitting_names.get(names))

    def note_failed_lead(self, host: str, port: int | None) -> None:
        self._led_in_vain.pop((host, port), None)
        self._led_in_vain[host, port] = time.monotonic()
        if len(self._led_in_vain) > _REMEMBERED_MAX:
            del self._led_in_vain[next(iter(self._led_in_vain))]

    def note_success(self, host: str, port: int | None) -> None:
        self._led_in_vain.pop((host, port), None)

    def note_fitting_name(self, names: tuple[str, ...], name: str) -> None:
        self._fitting_names[names] = name


_experience = _Experience()


Attempt = Callable[[Route], Awaitable[T]]


async def try_routes(
    server: RedisAddress, attempt: Attempt[T], *, timeout: float, login_within: float = CREDENTIALS_TIMEOUT
) -> T:
    """The result of the first attempt that succeeds, within `timeout` seconds after the credentials were given.

    `login_within`: seconds in which a provider has to give them.

    Raises CannotConnect and TimeoutError, and what `attempt` raises. If it fails on each of several addresses: the
    first RedisError, which says more than that an address can't be reached, else CannotConnect with all reasons.
    """
    login = await _log_in_as(server, login_within)
    try:
        async with asyncio.timeout(timeout):
            tls = None if server.tls is None else await server.tls.read_context()
            ways = _Ways(server, login, tls, attempt)
            hosts = _experience.order(await _resolve(server), server.port)
            if len(hosts) == 1:
                return await _try_names(ways, hosts[0])
            return await _try_hosts(ways, hosts, asyncio.get_running_loop().time() + timeout)
    except TimeoutError as error:
        raise TimeoutError(f"{server} does not answer") from error
    except RedisError as error:
        if error.code == "WRONGPASS" and server.provider is not None:
            raise RedisError(f"{error} (the credentials are those of {server.provider})") from error
        raise


@dataclass(frozen=True, slots=True)
class _Ways(Generic[T]):
    """What all routes of one call have in common."""

    server: RedisAddress
    login: tuple[str, str] | None
    tls: ssl.SSLContext | None
    attempt: Attempt[T]

    async def at(self, host: str, tls_name: str | None) -> T:
        return await self.attempt(Route(self.server, host, self.login, self.tls, tls_name))


async def _try_hosts(ways: _Ways[T], hosts: list[str], deadline: float) -> T:
    loop = asyncio.get_running_loop()
    failures: list[tuple[str, Exception]] = []
    for number, host in enumerate(hosts):
        share = max((deadline - loop.time()) / (len(hosts) - number), SHARE_MIN)
        try:
            async with asyncio.timeout(share):
                result = await _try_names(ways, host)
        except BaseException as error:  # also if it is cancelled, at the end of the whole time
            if number == 0:
                _experience.note_failed_lead(host, ways.server.port)
            if not isinstance(error, (OSError, ConnectionLost, RedisError)):
                raise
            failures.append((host, error))
        else:
            _experience.note_success(host, ways.server.port)
            return result
    for _, failure in failures:
        if isinstance(failure, RedisError):
            raise failure
    raise CannotConnect("; ".join(f"{host}: {_reason(failure)}" for host, failure in failures))


async def _try_names(ways: _Ways[T], host: str) -> T:
    """One attempt; with TLS, one for each name that the certificate may have, until one is right."""
    if ways.tls is None:
        return await ways.at(host, None)
    names = _experience.order_names(ways.server.tls_names)
    for name in names[:-1]:
        try:
            result = await ways.at(host, name)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in _NAME_MISMATCHES:
                raise
        else:
            _experience.note_fitting_name(ways.server.tls_names, name)
            return result
    return await ways.at(host, names[-1])


async def _log_in_as(server: RedisAddress, within: float) -> tuple[str, str] | None:
    if server.provider is not None:
        return await server.provider.get(within)
    if server.username is None and server.password is None:
        return None
    return server.username or "default", server.password or ""


async def _resolve(server: RedisAddress) -> list[str]:
    if server.port is None or is_ip_address(server.host):
        return [server.host]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise CannotConnect(f"{server.host!r} is no host name") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _reason(error: Exception) -> str:
    return "does not answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
