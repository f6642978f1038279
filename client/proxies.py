"""The proxy that requests to a cluster go through: that of `http_proxy`, `https_proxy` and `no_proxy`."""

from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..shared.ip_addresses import parse_ip_address
from .errors import ClientError


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable of the environment that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        """Without its user and password."""
        return f"the proxy {urlsplit(self.url).netloc.rpartition('@')[2]} ({self.variable})"


def find_proxy(url: str) -> Proxy | None:
    """Return the proxy for requests to `url`, a checked one. Raises ClientError if it is of an unknown kind.

    None: they go directly, as they always do to this machine, which a proxy would take for itself.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = getproxies().get(parts.scheme)
    if not proxy or _is_loopback(host) or proxy_bypass(host):
        return None
    found = Proxy(proxy if "://" in proxy else f"http://{proxy}", f"{parts.scheme}_proxy")
    if not _is_usable(found.url):  # not shown, since it may contain a password
        raise ClientError(
            f"the proxy of {found.variable} can't be used: http://HOST:PORT is expected, or no_proxy={host} for none"
        )
    return found


def describe_way(proxy: Proxy | None) -> str:
    """What a message about an address adds to it."""
    return "" if proxy is None else f" through {proxy}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = parse_ip_address(host)
    return address is not None and address.is_loopback


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and parts.hostname is not None and parts.port != 0
    except ValueError:
        return False
