"""Handshakes, and what a node that allows certain origins decides on them."""

from collections.abc import Callable

from tannoy.node.admission.handshake import Accepted, Admission, Admitted, Handshake, Rejected
from tannoy.node.auth.verifier import TokenVerifier
from tannoy.node.protocols.session import Session
from tannoy.shared.keyspace import Keyspace

KEYSPACE = Keyspace("tannoy")
HOST = "chat.example:8000"

Decision = Accepted | Rejected


def decide(
    path: str = "/ws",
    query: str = "",
    *,
    allowed: tuple[str, ...] = (),
    host: str | None = HOST,
    verifier: TokenVerifier | None = None,
    allows_query_token: bool = False,
    is_revoked: Callable[[Session], bool] = lambda session: False,
    **headers: str,
) -> Decision:
    """The decision on a handshake. A header `sec_websocket_protocol` is sent as `sec-websocket-protocol`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        named["host"] = host
    admission = Admission(
        KEYSPACE, allowed, verifier=verifier, allows_query_token=allows_query_token, is_revoked=is_revoked
    )
    return admission.decide(Handshake(path, query, named))


def admitted(decision: Decision) -> Admitted:
    assert isinstance(decision, Admitted), decision
    return decision
