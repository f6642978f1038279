"""The identity of a client: user, username and session."""

import os
from binascii import b2a_base64
from collections.abc import Mapping

from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from ...shared.names import SessionId, UserId, parse_session, parse_user, parse_username
from ...shared.protocol.frames import Author
from .claims import Claims

_GUEST_PREFIX = "guest-"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
"""From Base64 to its alphabet for URLs (RFC 4648 §5)."""


def new_session_id() -> SessionId:
    """A random session id of 96 bits."""
    return SessionId(b2a_base64(os.urandom(12), newline=False).translate(_URL_SAFE).decode())


def is_guest(user_id: UserId) -> bool:
    """Whether the user id was generated for a client that gave none."""
    return user_id.startswith(_GUEST_PREFIX)


def identify_client(query: Mapping[str, str]) -> Author:
    """With `TANNOY_AUTH=none`: the identity that the query of the handshake gives.

    A missing user id or session id is generated; a missing username is the user id. Raises BadName.
    """
    session_id = parse_session(query["session_id"]) if "session_id" in query else new_session_id()
    user_id = parse_user(query["user_id"]) if "user_id" in query else UserId(f"{_GUEST_PREFIX}{os.urandom(3).hex()}")
    username = parse_username(query["username"]) if "username" in query else str(user_id)
    return Author(user_id, username, session_id)


def identify_owner(claims: Claims, query: Mapping[str, str]) -> Author:
    """With `TANNOY_AUTH=jwt`: the identity that the claims of the token give; the query names the session alone.

    Raises BadName; and Refused, with `forbidden`, if the query names another user than the token.
    """
    for field, value in (("user_id", str(claims.user_id)), ("username", claims.username)):
        if query.get(field, value) != value:
            raise Refused(f"the query names another {field} than the token: leave it out", code=ErrorCode.FORBIDDEN)
    session_id = parse_session(query["session_id"]) if "session_id" in query else new_session_id()
    return Author(claims.user_id, claims.username, session_id)
