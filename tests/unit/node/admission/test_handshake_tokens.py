"""What is decided on a handshake where tokens say who a client is."""

from typing import Any

import pytest
from tannoy.node.admission.handshake import AcceptedThenClosed, Admitted, AwaitsToken
from tannoy.node.auth.claims import Claims, ExpectedClaims
from tannoy.node.auth.keys import from_secret
from tannoy.node.auth.verifier import SingleKey, TokenVerifier
from tannoy.node.protocols.session import Session
from tannoy.shared.codes import CloseCode, ErrorCode
from tannoy.shared.publication import UNKNOWN_POSITION, Position

from tests.support.clock import ManualClock
from tests.support.forged_tokens import SECRET, TOKEN_NOW, signed
from tests.support.handshakes import Decision, decide

REVOKED = "revoked"


def is_revoked(claims: Claims) -> bool:
    return claims.token_id == REVOKED


VERIFIER = TokenVerifier(SingleKey(from_secret(SECRET)), ExpectedClaims(), ManualClock(), is_revoked)


def decide_with(path: str = "/ws", query: str = "", /, **claims: Any) -> Decision:
    return decide(path, query, verifier=VERIFIER, authorization=f"Bearer {signed(**claims)}")


def refusal_of(decision: Decision) -> tuple[ErrorCode, CloseCode]:
    assert isinstance(decision, AcceptedThenClosed), decision
    return decision.refusal.code, decision.code


# ---- who the client is


def test_user_and_username_are_those_of_the_token() -> None:
    decision = decide_with("/ws/chat/lobby", name="Ada Lovelace")
    assert isinstance(decision, Admitted)
    author = decision.session.author
    assert (author.user_id, author.username) == ("ada", "Ada Lovelace")
    assert decision.session.claims is not None


def test_the_client_of_an_agent_names_its_session() -> None:
    decision = decide_with("/ws/agents/42", "session_id=tab-1", agents=["42"])
    assert isinstance(decision, Admitted)
    assert decision.session.session_id == "tab-1"


@pytest.mark.parametrize("query", ["", "user_id=ada", "user_id=ada&username=ada"])
def test_a_query_may_repeat_what_the_token_says(query: str) -> None:
    assert isinstance(decide_with("/ws", query), Admitted)


@pytest.mark.parametrize("query", ["user_id=bob", "username=Bob", "user_id=", "user_id=ada&username=Bob"])
def test_a_query_that_names_another_user_is_forbidden(query: str) -> None:
    assert refusal_of(decide_with("/ws", query)) == (ErrorCode.FORBIDDEN, CloseCode.FORBIDDEN)


def test_without_a_token_the_first_frame_is_awaited() -> None:
    decision = decide("/ws/chat/lobby", "user_id=eve", verifier=VERIFIER, sec_websocket_protocol="tannoy.v1.msgpack")
    assert isinstance(decision, AwaitsToken)
    assert decision.subprotocol == "tannoy.v1.msgpack"


def test_the_token_may_stand_in_the_subprotocols_and_is_not_echoed() -> None:
    offered = f"tannoy.v1.json, bearer, {signed()}"
    decision = decide(verifier=VERIFIER, sec_websocket_protocol=offered)
    assert isinstance(decision, Admitted)
    assert decision.subprotocol == "tannoy.v1.json"


@pytest.mark.parametrize(("is_allowed", "kind"), [(True, Admitted), (False, AcceptedThenClosed)])
def test_the_token_may_stand_in_the_query_where_the_settings_allow_it(is_allowed: bool, kind: type[Decision]) -> None:
    decision = decide("/ws", f"token={signed()}", verifier=VERIFIER, allows_query_token=is_allowed)
    assert isinstance(decision, kind)


# ---- why it is refused


@pytest.mark.parametrize(
    ("claims", "code", "closed_with"),
    [
        ({"exp": TOKEN_NOW}, ErrorCode.TOKEN_EXPIRED, CloseCode.TOKEN_EXPIRED),
        ({"exp": "soon"}, ErrorCode.BAD_TOKEN, CloseCode.BAD_TOKEN),
        ({"nbf": TOKEN_NOW + 1}, ErrorCode.BAD_TOKEN, CloseCode.BAD_TOKEN),
        ({"jti": REVOKED}, ErrorCode.BAD_TOKEN, CloseCode.BAD_TOKEN),
        ({"aud": "others"}, ErrorCode.BAD_TOKEN, CloseCode.BAD_TOKEN),
    ],
)
def test_a_bad_token_is_refused_with_the_code_of_its_problem(
    claims: dict[str, object], code: ErrorCode, closed_with: CloseCode
) -> None:
    assert refusal_of(decide_with(**claims)) == (code, closed_with)


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer x", "Bearer a.b.c", f"Bearer {signed('x' * 32)}"])
def test_what_is_no_token_of_ours_is_refused(authorization: str) -> None:
    decision = decide(verifier=VERIFIER, authorization=authorization)
    assert refusal_of(decision) == (ErrorCode.BAD_TOKEN, CloseCode.BAD_TOKEN)


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("/ws/chat/lobby", {"rooms": ["other"]}),
        ("/ws/chat/lobby", {"rooms": []}),
        ("/ws/agents/42", {}),
        ("/ws/agents/42", {"agents": ["43"], "rooms": ["*"]}),
    ],
)
def test_a_room_or_agent_that_the_token_does_not_list_is_forbidden(path: str, claims: dict[str, object]) -> None:
    assert refusal_of(decide_with(path, **claims)) == (ErrorCode.FORBIDDEN, CloseCode.FORBIDDEN)


@pytest.mark.parametrize(("can", "recover"), [(["history"], Position("e", 5)), (["publish"], UNKNOWN_POSITION)])
def test_a_recovery_that_the_token_does_not_allow_recovers_nothing(can: list[str], recover: Position) -> None:
    decision = decide_with("/ws/chat/lobby", "epoch=e&offset=5", can=can)
    assert isinstance(decision, Admitted)
    assert decision.session.recover == recover


# ---- who has been revoked


def is_agent_7(session: Session) -> bool:
    return session.home is not None and session.home.name == "7"


@pytest.mark.parametrize("query", ["", "user_id=ada"])
def test_without_tokens_a_revoked_session_is_refused_as_one_with_a_bad_token(query: str) -> None:
    decision = decide("/ws/agents/7", query, is_revoked=is_agent_7)
    assert refusal_of(decision) == (ErrorCode.BAD_TOKEN, CloseCode.BAD_TOKEN)
    assert isinstance(decide("/ws/agents/8", query, is_revoked=is_agent_7), Admitted)


def test_with_a_token_that_is_valid_a_revoked_session_is_refused_too() -> None:
    authorization = f"Bearer {signed(agents=['*'])}"
    for agent, kind in (("7", AcceptedThenClosed), ("8", Admitted)):
        decision = decide(f"/ws/agents/{agent}", verifier=VERIFIER, is_revoked=is_agent_7, authorization=authorization)
        assert isinstance(decision, kind)
