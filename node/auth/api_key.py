"""Who may use the HTTP API."""

import hmac
from collections.abc import Mapping

from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from .hosts import is_loopback, normalize_address, strip_port

_FORWARDING_HEADERS = frozenset(
    "forwarded via x-real-ip x-client-ip x-cluster-client-ip x-original-host true-client-ip cf-connecting-ip"
    " fastly-client-ip".split()
)
"""Headers that proxies add, besides all that begin with `x-forwarded-`: the client is not the one that connected."""


def authorize_request(
    api_key: str, *, headers: Mapping[str, str], client_host: str | None, server_host: str | None = None
) -> None:
    """Authorize a request to the HTTP API by its API key or, if no key is set, only from this machine.

    `server_host` is the local address of the connection. `headers` are looked up in lower case. Raises Refused.

    A browser on this machine is a local client, whatever page it shows. So without a key no web page may call: neither
    one that sends an Origin, nor one whose host name was made to resolve to this machine (DNS rebinding). A client
    whose address is the one that it connected to is on this machine too. The clients of a proxy on this machine may be
    anywhere: what a proxy has forwarded is refused, as far as its headers show that it has.
    """
    if not api_key:
        if _is_local(headers, client_host, server_host) and not _is_of_foreign_page(headers):
            return
        message = "no TANNOY_API_KEY is set, so only clients on this machine are served: no web pages, and no proxies"
        raise Refused(message, code=ErrorCode.FORBIDDEN)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), api_key.encode()):
        raise Refused("the API key is missing or wrong: Authorization: Bearer …", code=ErrorCode.BAD_TOKEN)


def _is_local(headers: Mapping[str, str], client_host: str | None, server_host: str | None) -> bool:
    if client_host is None or any(map(_is_forwarding, headers)):
        return False
    server = None if server_host is None else normalize_address(server_host)
    host = normalize_address(strip_port(headers.get("host", "")))
    is_local_client = is_loopback(client_host) or normalize_address(client_host) == server
    return is_local_client and (is_loopback(host) or host == server)


def _is_of_foreign_page(headers: Mapping[str, str]) -> bool:
    """Browsers send no Origin with the GET of an image or a script, but the relation of its page to this host."""
    return "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _is_forwarding(name: str) -> bool:
    return name in _FORWARDING_HEADERS or name.startswith("x-forwarded-")
