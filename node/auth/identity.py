"""Who a session belongs to, and who may call the API."""

import hmac
import secrets
from collections.abc import Mapping
from ipaddress import ip_address

from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from ...shared.names import SessionId, UserId, parse_session, parse_user, parse_username
from ...shared.protocol.frames import Author


def new_session_id() -> SessionId:
    return SessionId(secrets.token_urlsafe(12))


_GUEST = "guest-"


def is_guest(user_id: UserId) -> bool:
    """Whether the name was made up for somebody who gave none."""
    return user_id.startswith(_GUEST)


def identify(query: Mapping[str, str]) -> Author:
    """`TANNOY_AUTH=none`: the client says who it is, or gets a guest's name. Raises BadName."""
    session_id = parse_session(query["session_id"]) if "session_id" in query else new_session_id()
    user_id = parse_user(query["user_id"]) if "user_id" in query else UserId(f"{_GUEST}{secrets.token_hex(3)}")
    username = parse_username(query["username"]) if "username" in query else str(user_id)
    return Author(user_id, username, session_id)


def is_loopback(host: str | None) -> bool:
    """A Unix socket has no client host: who can reach it is on this machine."""
    if host is None or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    return host.rpartition(":")[0].strip("[]") if ":" in host.rpartition("]")[2] else host.strip("[]")


def authorize_api(
    api_key: str, *, headers: Mapping[str, str], client_host: str | None, server_host: str | None = None
) -> None:
    """Let a back end in: by the key, or, where none is set, from loopback alone. Raises Refused.

    A browser on this machine is a client on this machine whatever page it shows. So without a key no page may call,
    be it by its Origin or by a host name that it made point here (DNS rebinding). `server_host` is the address that
    was connected to: whoever comes from it is on this machine too.
    """
    if not api_key:
        comes_from_here = is_loopback(client_host) or client_host == server_host
        named = host_name(headers.get("host", ""))
        if comes_from_here and (is_loopback(named) or named == server_host) and "origin" not in headers:
            return
        message = "no TANNOY_API_KEY is set, so only clients on this machine, and no web pages, are served"
        raise Refused(message, code=ErrorCode.FORBIDDEN)
    authorization = headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), api_key.encode()):
        raise Refused("the API key is missing or wrong: Authorization: Bearer …", code=ErrorCode.BAD_TOKEN)
