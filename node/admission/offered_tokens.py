"""Where the token of a handshake may stand: a header, the offered subprotocols, or the query."""

from collections.abc import Mapping

from ...shared.errors import BadRequest
from ..auth.token_problems import TokenProblem, TokenRefused

BEARER = "bearer"
"""The subprotocol behind which a token is offered: pages can't set the header Authorization."""


def split_subprotocols(header: str) -> tuple[list[str], str | None]:
    """Return the subprotocols of Sec-WebSocket-Protocol without `bearer` and its token, and the token, if any.

    `bearer` with nothing behind it offers an empty token.
    """
    offered = [name for name in map(str.strip, header.split(",")) if name]
    if BEARER not in offered:
        return offered, None
    at = offered.index(BEARER)
    token = offered[at + 1] if at + 1 < len(offered) else ""
    return offered[:at] + offered[at + 2 :], token


def find_token(
    headers: Mapping[str, str], in_subprotocol: str | None, query: Mapping[str, str], *, allows_query: bool
) -> str | None:
    """Return the token of a handshake: of the header, else of the subprotocols, else of the query. None: it has none.

    Raises TokenRefused for a token in the query where none is allowed: it would stand in the logs of every proxy.
    """
    if "token" in query and not allows_query:
        raise TokenRefused(
            TokenProblem.MISSING,
            "a token in the query is not accepted: send it as the subprotocols bearer, TOKEN, or in a first frame auth,"
            " or set TANNOY_AUTH_QUERY_TOKEN=true",
        )
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == BEARER:
        return credentials.strip()
    return query.get("token") if in_subprotocol is None else in_subprotocol


def check_no_query_token(query: Mapping[str, str]) -> None:
    """Check the query of a handshake at a node without tokens. Raises BadRequest if it has one.

    Its owner would take itself for the user of the token, and is a guest.
    """
    if "token" in query:
        raise BadRequest(
            "the parameter token is not accepted with TANNOY_AUTH=none, where user_id and username say who connects: "
            "leave it out, or set TANNOY_AUTH=jwt"
        )
