"""Whether an opening handshake is admitted: wire format, names, and what RFC 6455 demands."""

import pytest
from tannoy.node.admission.handshake import AcceptedThenClosed, Admitted, Rejected, join_headers
from tannoy.node.admission.heads import check_upgrade
from tannoy.node.admission.refusals import Reason
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.codes import CloseCode, ErrorCode
from tannoy.shared.names import AgentId
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat

from tests.support.handshakes import HOST, KEYSPACE, admitted, decide

# ---- wire format


@pytest.mark.parametrize(
    ("offered", "wire", "echoed"),
    [
        ("tannoy.v1.json", JSON, "tannoy.v1.json"),
        ("tannoy.v1.msgpack", MSGPACK, "tannoy.v1.msgpack"),
        ("tannoy.v1.msgpack, tannoy.v1.json", MSGPACK, "tannoy.v1.msgpack"),
        ("tannoy.v1.json,tannoy.v1.msgpack", JSON, "tannoy.v1.json"),
        ("graphql-ws, tannoy.v1.msgpack", MSGPACK, "tannoy.v1.msgpack"),
        ("bearer, some.token, tannoy.v1.json", JSON, "tannoy.v1.json"),
        ("bearer, some.token", JSON, None),
        ("  tannoy.v1.json  ", JSON, "tannoy.v1.json"),
        (",,", JSON, None),
        ("", JSON, None),
    ],
)
def test_the_first_offered_subprotocol_that_is_known_is_selected(
    offered: str, wire: WireFormat, echoed: str | None
) -> None:
    decision = admitted(decide(sec_websocket_protocol=offered))
    assert (decision.wire, decision.subprotocol) == (wire, echoed)


@pytest.mark.parametrize(
    "offered", ["graphql-ws", "tannoy.v2.json", "Tannoy.V1.Json", "bearer, some.token, tannoy.v1.jso"]
)
def test_an_offer_of_unknown_subprotocols_only_is_rejected_with_the_known_ones(offered: str) -> None:
    decision = decide(sec_websocket_protocol=offered)
    assert isinstance(decision, Rejected)
    assert (decision.status, decision.reason) == (400, Reason.SUBPROTOCOL)
    assert "tannoy.v1.json and tannoy.v1.msgpack are" in decision.refusal.message


def test_without_an_offer_json_is_selected_and_no_subprotocol_echoed() -> None:
    decision = admitted(decide())
    assert (decision.wire, decision.subprotocol) == (JSON, None)


def test_a_refusal_is_sent_in_the_negotiated_wire_format() -> None:
    decision = decide("/ws/chat/a%20b", sec_websocket_protocol="tannoy.v1.msgpack")
    assert isinstance(decision, AcceptedThenClosed)
    assert (decision.wire, decision.subprotocol) == (MSGPACK, "tannoy.v1.msgpack")


# ---- paths and names


@pytest.mark.parametrize("path", ["/", "", "/WS", "/wss", "/other/ws", "/w", "/%77s", "/.ws", "ws.example/ws"])
def test_a_path_that_is_not_below_ws_is_rejected(path: str) -> None:
    decision = decide(path)
    assert isinstance(decision, Rejected)
    assert (decision.status, decision.reason) == (404, Reason.PATH)


@pytest.mark.parametrize(
    "path", ["//ws", "//ws/", "/ws//", "/ws/chat", "/ws/agents", "/ws/rooms/a", "//ws/chat/a", "/ws//chat/a"]
)
def test_a_path_below_ws_that_is_no_endpoint_is_accepted_then_closed(path: str) -> None:
    decision = decide(path)
    assert isinstance(decision, AcceptedThenClosed)
    assert decision.code is CloseCode.FORBIDDEN
    assert "is not an endpoint: /ws, /ws/chat/ROOM and /ws/agents/AGENT are" in decision.refusal.message


def test_a_rejection_shows_no_more_than_the_beginning_of_a_long_path() -> None:
    decision = decide("/" + "x" * 100_000)
    assert isinstance(decision, Rejected)
    assert len(decision.refusal.message) < 300


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
def test_a_session_of_ws_has_no_home_channel(path: str) -> None:
    session = admitted(decide(path)).session
    assert (session.endpoint, session.home) == (Endpoint.ROOMS, None)


@pytest.mark.parametrize("path", ["/ws/chat/team%3Ablue", "/ws/chat/team:blue"])
def test_the_home_channel_of_a_chat_session_is_its_room(path: str) -> None:
    session = admitted(decide(path)).session
    assert session.endpoint is Endpoint.ROOM
    assert session.home is not None
    assert (session.home.kind, session.home.name) == ("room", "team:blue")


def test_an_agent_session_has_its_agent_as_home_and_the_given_identity() -> None:
    session = admitted(decide("/ws/agents/42", "session_id=s1&user_id=ada&username=Ada%20L")).session
    assert session.endpoint is Endpoint.AGENT
    assert session.home == KEYSPACE.agent(AgentId("42"))
    assert (session.session_id, session.user_id, session.username) == ("s1", "ada", "Ada L")


@pytest.mark.parametrize("path", ["/ws", "/ws/chat/lobby"])
def test_the_session_id_of_a_query_is_ignored_unless_for_an_agent(path: str) -> None:
    assert admitted(decide(path, "session_id=s1")).session.session_id != "s1"


BAD_NAMES = ["", "a b", "a%20b", "a/b", "a%2Fb", "%00", "*", "%7Bx%7D", "%C3%A9", "%ff", "a" * 129, "..%2F..", "a%0Ab"]


@pytest.mark.parametrize("prefix", ["/ws/chat/", "/ws/agents/"])
@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: f"{name:.9}")
def test_a_bad_name_in_the_path_is_accepted_then_closed(prefix: str, name: str) -> None:
    decision = decide(prefix + name)
    assert isinstance(decision, AcceptedThenClosed)
    assert (decision.refusal.code, decision.code) == (ErrorCode.BAD_NAME, CloseCode.FORBIDDEN)


@pytest.mark.parametrize("query", ["user_id=a%20b", "user_id=", "username=", "username=a%0Ab", "session_id=%2F"])
def test_a_bad_name_in_the_query_is_accepted_then_closed(query: str) -> None:
    decision = decide("/ws/agents/42", query)
    assert isinstance(decision, AcceptedThenClosed)
    assert decision.refusal.code is ErrorCode.BAD_NAME


@pytest.mark.parametrize(
    "query",
    [
        "user_id=ada&username=Ada",
        "user_id=%61da&username=Ada",
        "user_id=x&user_id=ada&username=Ada",
        "&username=Ada&&user_id=ada&",
    ],
)
def test_a_query_means_the_same_with_and_without_escapes(query: str) -> None:
    session = admitted(decide("/ws", query)).session
    assert (session.user_id, session.username) == ("ada", "Ada")


@pytest.mark.parametrize("query", ["&&&", "=", "user_id", "%", "a=%ff&b=%zz", "user_id=ada&user_id=ada", ";;"])
def test_a_malformed_query_raises_nothing(query: str) -> None:
    assert isinstance(decide("/ws", query), Admitted | AcceptedThenClosed)


# ---- RFC 6455 §4.2.1

UPGRADE = {"host": HOST, "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}


def test_a_handshake_as_rfc_6455_has_it_is_not_rejected() -> None:
    assert check_upgrade(UPGRADE) is None


@pytest.mark.parametrize(
    ("name", "values", "status"),
    [
        ("sec-websocket-version", ["12", "013", "13, 13", "8, 13", ""], 426),
        ("sec-websocket-key", ["short", "", "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==", "é"], 400),
        ("host", [""], 400),
    ],
)
def test_a_handshake_that_rfc_6455_forbids_is_rejected(name: str, values: list[str], status: int) -> None:
    without = {key: value for key, value in UPGRADE.items() if key != name}
    for headers in ({**UPGRADE, name: value} for value in values):
        rejected = check_upgrade(headers)
        assert rejected is not None
        assert (rejected.status, rejected.reason) == (status, Reason.HANDSHAKE)
    assert check_upgrade(without) is not None


def test_values_of_a_repeated_header_are_joined_in_order() -> None:
    fields = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "")]

    assert join_headers(fields) == {"a": "1, 3, ", "b": "2"}


# ---- parameters of the query


@pytest.mark.parametrize("query", ["userid=ada", "user_id=ada&Username=x", "x", "%00=1", "user_id=ada&&color=red"])
def test_an_unknown_parameter_is_told_by_its_name(query: str) -> None:
    decision = decide("/ws", query)
    assert isinstance(decision, AcceptedThenClosed)
    assert (decision.refusal.code, decision.code) == (ErrorCode.BAD_REQUEST, CloseCode.FORBIDDEN)
    assert "in the query: epoch, offset, session_id, token, user_id, username are known" in decision.refusal.message


@pytest.mark.parametrize("query", ["", "&", "user_id=ada&", "user_id=ada&epoch=e&offset=1&session_id=s"])
def test_the_known_parameters_are_accepted(query: str) -> None:
    assert isinstance(decide("/ws", query), Admitted)


@pytest.mark.parametrize("query", ["token=canary", "token=", "user_id=ada&token=canary", "tok%65n=canary"])
@pytest.mark.parametrize("is_allowed", [False, True])
def test_without_tokens_one_in_the_query_is_refused_with_the_setting_that_would_accept_it(
    query: str, is_allowed: bool
) -> None:
    decision = decide("/ws", query, allows_query_token=is_allowed)
    assert isinstance(decision, AcceptedThenClosed)
    assert (decision.refusal.code, decision.code) == (ErrorCode.BAD_REQUEST, CloseCode.FORBIDDEN)
    assert "parameter token is not accepted with TANNOY_AUTH=none" in decision.refusal.message
    assert "canary" not in decision.refusal.message
