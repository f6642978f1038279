"""Web origins: what a browser sends as `Origin`, and what `TANNOY_ALLOWED_ORIGINS` allows (docs/protocol.md §2).

Origins are compared as browsers write them: in lower case, without the default port, IPv6 in its shortest form.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv6Address

from .ip_addresses import is_ip_address

ANY = "*"
NULL = "null"
"""The origin of a page from a file, a sandboxed frame, or a `data:` URL."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WILDCARD = "*."

_parse = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?").fullmatch
_is_domain = re.compile(r"([a-z0-9_-]+\.)*[a-z0-9_-]*[a-z_-][a-z0-9_-]*\.?").fullmatch  # no number as the last label


def normalize_origin(origin: str) -> str | None:
    """Return the origin as a browser writes it; None if it is none."""
    origin = origin.lower()
    if origin == NULL:
        return NULL
    parts = _parse(origin)
    if parts is None:
        return None
    scheme, host, port = parts.groups()
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            return None
    if port is None or int(port) == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{int(port)}" if 0 < int(port) < 65_536 else None


def is_of_host(origin: str, host: str) -> bool:
    """Whether a page of this origin was served by `host`, the Host header of a request."""
    scheme = origin.lower().partition("://")[0]
    normalized = normalize_origin(origin)
    return normalized is not None and scheme in _DEFAULT_PORTS and normalized == normalize_origin(f"{scheme}://{host}")


def web_host(origin: str) -> str | None:
    """The host of a page that was loaded over HTTP or HTTPS, without its port; IPv6 in brackets. None: it was not."""
    parts = _parse(origin.lower())
    return None if parts is None or parts[1] not in _DEFAULT_PORTS else parts[2]


class AllowedOrigins:
    """The entries of TANNOY_ALLOWED_ORIGINS, which `check_allowed_origin` has accepted. Empty: nothing is listed."""

    def __init__(self, entries: Iterable[str]) -> None:
        listed = [entry.lower() for entry in entries]
        self._allows_any = ANY in listed
        self._exact = frozenset(filter(None, map(normalize_origin, listed)))
        self._below = tuple(_split_wildcard(entry) for entry in listed if _WILDCARD in entry)

    def __bool__(self) -> bool:
        return self._allows_any or bool(self._exact or self._below)

    def allow(self, origin: str) -> bool:
        if self._allows_any:
            return True
        normalized = normalize_origin(origin)
        if normalized is None:
            return False
        if normalized in self._exact:
            return True
        scheme, _, site = normalized.partition("://")
        return any(scheme == wanted and site.endswith(domain) and site != domain for wanted, domain in self._below)


def _split_wildcard(entry: str) -> tuple[str, str]:
    """Return the scheme of `https://*.example.com:8443`, and `.example.com:8443`."""
    normalized = normalize_origin(entry.replace(_WILDCARD, "", 1)) or ""
    scheme, _, site = normalized.partition("://")
    return scheme, f".{site}"


def check_allowed_origin(entry: str) -> None:
    """Raise ValueError, with what is allowed, if no origin that a browser sends can match an entry."""
    if entry in (ANY, NULL):
        return
    if not entry.isascii():
        raise ValueError(f"{entry!r} can't match: browsers send such a name in ASCII, as xn--…")
    wildcard = f"://{_WILDCARD}" in entry
    origin = normalize_origin(entry.replace(_WILDCARD, "", 1) if wildcard else entry)
    if origin is None or origin == NULL:
        raise ValueError(
            f"{entry!r} is not an origin: allowed are scheme://host[:port], https://*.example.com for all below it, "
            "null for pages that have none, and * for any, separated by commas"
        )
    scheme, _, site = origin.partition("://")
    host = site.partition("]")[0] + "]" if site.startswith("[") else site.partition(":")[0]
    is_host = _is_domain(host) or (not wildcard and is_ip_address(host.strip("[]")))
    if (wildcard or scheme in _DEFAULT_PORTS) and not is_host:
        raise ValueError(f"{entry!r} can't match: {host!r} is not a host name" + ("" if wildcard else " or IP address"))
