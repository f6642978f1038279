"""Where the token of a handshake is found."""

import pytest
from tannoy.node.admission.offered_tokens import find_token, split_subprotocols
from tannoy.node.auth.token_problems import TokenProblem, TokenRefused


@pytest.mark.parametrize(
    ("header", "offered", "token"),
    [
        ("", [], None),
        ("tannoy.v1.json", ["tannoy.v1.json"], None),
        ("bearer, a.b.c, tannoy.v1.json", ["tannoy.v1.json"], "a.b.c"),
        ("tannoy.v1.json,bearer,a.b.c", ["tannoy.v1.json"], "a.b.c"),
        ("tannoy.v1.json, bearer", ["tannoy.v1.json"], ""),
        ("bearer, a.b.c, bearer", ["bearer"], "a.b.c"),
        ("Bearer, a.b.c", ["Bearer", "a.b.c"], None),
    ],
)
def test_the_token_stands_behind_bearer(header: str, offered: list[str], token: str | None) -> None:
    assert split_subprotocols(header) == (offered, token)


@pytest.mark.parametrize(
    ("authorization", "in_subprotocol", "query", "token"),
    [
        ("Bearer h", "s", {"token": "q"}, "h"),
        ("bearer  h ", None, {}, "h"),
        ("Bearer", "s", {}, ""),
        ("Basic dTpw", "s", {"token": "q"}, "s"),
        ("", "s", {"token": "q"}, "s"),
        ("", "", {"token": "q"}, ""),
        ("", None, {"token": "q"}, "q"),
        ("", None, {}, None),
    ],
)
def test_the_header_goes_before_the_subprotocol_and_that_before_the_query(
    authorization: str, in_subprotocol: str | None, query: dict[str, str], token: str | None
) -> None:
    headers = {"authorization": authorization} if authorization else {}
    assert find_token(headers, in_subprotocol, query, allows_query=True) == token


@pytest.mark.parametrize("authorization", ["", "Bearer h"])
def test_a_token_in_the_query_is_refused_where_none_is_allowed(authorization: str) -> None:
    with pytest.raises(TokenRefused, match="TANNOY_AUTH_QUERY_TOKEN=true") as refused:
        find_token({"authorization": authorization}, None, {"token": "canary"}, allows_query=False)
    assert refused.value.problem is TokenProblem.MISSING
    assert "canary" not in refused.value.message
