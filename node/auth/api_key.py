"""Who may use the HTTP API."""

import hmac
from collections.abc import Mapping

from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from .hosts import is_loopback, strip_port


def authorize_request(
    api_key: str, *, headers: Mapping[str, str], client_host: str | None, server_host: str | None = None
) -> None:
    """Authorize a request to the HTTP API by its API key or, if no key is set, only from this machine.

    `server_host` is the local address of the connection. `headers` are looked up in lower case. Raises Refused.

    A browser on this machine is a local client, whatever page it shows. So without a key no web page may call: neither
    one that sends an Origin, nor one whose host name was made to resolve to this machine (DNS rebinding). A client
    whose address is the one that it connected to is on this machine too.
    """
    if not api_key:
        is_local_client = is_loopback(client_host) or client_host == server_host
        host = strip_port(headers.get("host", ""))
        if is_local_client and (is_loopback(host) or host == server_host) and "origin" not in headers:
            return
        message = "no TANNOY_API_KEY is set, so only clients on this machine, and no web pages, are served"
        raise Refused(message, code=ErrorCode.FORBIDDEN)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), api_key.encode()):
        raise Refused("the API key is missing or wrong: Authorization: Bearer …", code=ErrorCode.BAD_TOKEN)
