"""Who may use the HTTP API."""

import hmac
from collections.abc import Mapping

from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from .hosts import is_loopback, normalize_address, strip_port
from .trusted_proxies import NO_PROXIES, TrustedProxies, parse_peer

_FORWARDING_HEADERS = frozenset(
    "forwarded via x-real-ip x-client-ip x-cluster-client-ip x-original-host true-client-ip cf-connecting-ip"
    " fastly-client-ip".split()
)
"""Headers that proxies add, besides all that begin with `x-forwarded-`: the client is not the one that connected."""


def authorize_request(
    api_key: str,
    *,
    headers: Mapping[str, str],
    client_host: str | None,
    server_host: str | None = None,
    proxies: TrustedProxies = NO_PROXIES,
) -> None:
    """Authorize a request to the HTTP API by its API key or, if no key is set, only from this machine.

    `client_host` is the peer's address, `server_host` the local one of the connection. `headers` are looked up in lower
    case; the values of a repeated one are joined by commas. Raises Refused.

    A browser on this machine is a local client, whatever page it shows. So without a key no web page may call: neither
    one that sends an Origin, nor one whose host name was made to resolve to this machine (DNS rebinding). A client
    whose address is the one that it connected to is on this machine too. The clients of a proxy on this machine may be
    anywhere: what a proxy has forwarded is refused, as far as its headers show that it has, unless `proxies` trust it,
    it is on this machine, and it names a client that is there too.
    """
    if not api_key:
        if _is_local(headers, client_host, server_host, proxies) and not _is_of_foreign_page(headers):
            return
        message = "no TANNOY_API_KEY is set, so only clients on this machine are served: no web pages, and no proxies"
        raise Refused(message, code=ErrorCode.FORBIDDEN)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), api_key.encode()):
        raise Refused("the API key is missing or wrong: Authorization: Bearer …", code=ErrorCode.BAD_TOKEN)


def _is_local(
    headers: Mapping[str, str], client_host: str | None, server_host: str | None, proxies: TrustedProxies
) -> bool:
    if client_host is None:
        return False
    hosts = [client_host, strip_port(headers.get("host", ""))]
    if any(map(_is_forwarding, headers)):
        peer = parse_peer(client_host)
        forwarded = None if peer is None else proxies.find_forwarded(peer, headers)
        if forwarded is None:
            return False
        hosts.append(str(forwarded))
    server = None if server_host is None else normalize_address(server_host)
    return all(is_loopback(host) or normalize_address(host) == server for host in hosts)


def _is_of_foreign_page(headers: Mapping[str, str]) -> bool:
    """Browsers send no Origin with the GET of an image or a script, but the relation of its page to this host."""
    return "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _is_forwarding(name: str) -> bool:
    return name in _FORWARDING_HEADERS or name.startswith("x-forwarded-")
