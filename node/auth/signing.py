"""Signing tokens, for trying things out and for tests: in production the back end does."""

from collections.abc import Sequence
from typing import Any

import jwt

from .claims import Permission


def sign_token(
    secret: str,
    *,
    subject: str,
    expires_at: float,
    username: str | None = None,
    rooms: Sequence[str] | None = None,
    agents: Sequence[str] | None = None,
    can: Sequence[Permission] | None = None,
    audience: str = "",
    issuer: str = "",
    token_id: str | None = None,
) -> str:
    """A token with HS256. `expires_at` is in Unix seconds; what is None or empty is left out (docs/protocol.md §2)."""
    optional: dict[str, Any] = {
        "name": username,
        "rooms": None if rooms is None else list(rooms),
        "agents": None if agents is None else list(agents),
        "can": None if can is None else list(can),
        "aud": audience or None,
        "iss": issuer or None,
        "jti": token_id,
    }
    claims = {"sub": subject, "exp": int(expires_at)}
    return jwt.encode(claims | {name: value for name, value in optional.items() if value is not None}, secret, "HS256")
