"""What a back end is asked with TANNOY_AUTH=hook about a client that wants to connect (docs/hooks.md)."""

from collections.abc import Mapping

from ...shared.channels import ChannelKind
from .target import Target

ASKED_HEADERS = ("authorization", "cookie", "origin", "user-agent", "accept-language", "x-request-id")
"""Headers of the handshake that the back end is told."""
SCOPE_KEY = "tannoy.question"
"""Where the question stands in the scope that `authenticate` is called with."""


def create_question(
    path: str, target: Target, headers: Mapping[str, str], token: str | None, address: str | None
) -> dict[str, object]:
    """`path` is percent-encoded. What a session changes with each connection, its position, is left out."""
    question: dict[str, object] = {
        "type": "connect",
        "path": path,
        "query": {name: value for name, value in target.query.items() if name and name not in _LEFT_OUT},
        "headers": {name: headers[name] for name in ASKED_HEADERS if name in headers},
        "token": token,
        "address": address,
    }
    if target.home is not None:
        question["room" if target.home.kind is ChannelKind.ROOM else "agent_id"] = target.home.name
    return question


_LEFT_OUT = frozenset({"token", "epoch", "offset"})
