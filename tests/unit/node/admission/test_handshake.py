"""Whether an opening handshake is admitted: origin, wire format, names."""

import pytest
from tannoy.node.admission.handshake import (
    AcceptedThenClosed,
    Admission,
    Admitted,
    Handshake,
    Rejected,
    check_upgrade,
)
from tannoy.node.admission.refusals import Reason
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.codes import CloseCode, ErrorCode
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat

KEYSPACE = Keyspace("tannoy")
HOST = "chat.example:8000"
ALLOWED = ("https://app.example", "http://localhost:3000")

Decision = Admitted | AcceptedThenClosed | Rejected


def decide(
    path: str = "/ws", query: str = "", *, allowed: tuple[str, ...] = (), host: str | None = HOST, **headers: str
) -> Decision:
    """The decision on a handshake. A header `sec_websocket_protocol` is sent as `sec-websocket-protocol`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        named["host"] = host
    return Admission(KEYSPACE, allowed).decide(Handshake(path, query, named))


def admitted(decision: Decision) -> Admitted:
    assert isinstance(decision, Admitted), decision
    return decision


# ---- origin: what a browser on a foreign page sends, and what an attacker may send

CRAFTED = [
    "", "null", "NULL", "*", "file://", "about:blank", "data:text/html,x", "javascript:alert(1)", "chrome-extension://abc",
    "https://evil.example", "http://evil.example:8000", "https://chat.example.evil:8000", "http://evil-chat.example:8000",
    "http://chat.example", "http://chat.example:80", "http://chat.example:8001", "http://chat.example:80000",
    "http://chat.example:8000.evil.example", "http://sub.chat.example:8000", "http://example:8000", "http://.chat.example:8000",
    "http://chat.example:8000@evil.example", "http://evil.example@chat.example:8000", "http://u:p@chat.example:8000",
    "http://chat.example:8000\\@evil.example", "http://evil.example\\.chat.example:8000", "http://chat.example%3A8000",
    "http://chat.example:8000%00.evil.example", "http://chat%2eexample:8000", "http://chat.example.:8000",
    "http://evil.example#chat.example:8000", "http://evil.example?chat.example:8000", "http://evil.example/chat.example:8000",
    "http:chat.example:8000", "http:/chat.example:8000", "http:///chat.example:8000", "//chat.example:8000",
    "chat.example:8000",
    "ws://chat.example:8000", "wss://chat.example:8000", "ftp://chat.example:8000", "httpx://chat.example:8000",
    "http://chat.example:8000, http://evil.example", "http://evil.example, http://chat.example:8000",
    "http://chat.example:8000 http://evil.example", "http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000",
    "http://0.0.0.0:8000", "http://chat.example:8000\u00a0", "http://ch\u00e4t.example:8000",
]  # fmt: skip

NOT_EVEN_A_URL = ["http://[", "http://]", "http://[::1", "http://::1]", "http://[chat.example]:8000", "https://[v1.]"]


def test_more_than_fifty_crafted_origins_are_tried() -> None:
    assert len({*CRAFTED, *NOT_EVEN_A_URL}) > 50


@pytest.mark.parametrize("origin", CRAFTED, ids=ascii)
def test_by_default_an_origin_other_than_this_host_is_rejected(origin: str) -> None:
    decision = decide(origin=origin)
    assert isinstance(decision, Rejected)
    assert (decision.status, decision.refusal.code) == (403, ErrorCode.FORBIDDEN)


@pytest.mark.parametrize("origin", NOT_EVEN_A_URL)
def test_an_origin_that_is_not_a_url_is_rejected(origin: str) -> None:
    assert isinstance(decide(origin=origin), Rejected)


@pytest.mark.parametrize("path", ["/", "/ws", "?", "#", "/../", "\t", "\n"], ids=ascii)
def test_an_origin_with_more_than_scheme_and_host_is_rejected(path: str) -> None:
    # RFC 6454 §6.2. A browser sends nothing else.
    assert isinstance(decide(origin=f"http://{HOST}{path}"), Rejected)


@pytest.mark.parametrize("origin", ["http://", "https://", "http:", "http:///"])
@pytest.mark.parametrize("host", ["", None])
def test_an_empty_origin_does_not_match_an_empty_or_missing_host(origin: str, host: str | None) -> None:
    assert isinstance(decide(origin=origin, host=host), Rejected)


@pytest.mark.parametrize(
    "origin", ["http://chat.example:8000", "https://chat.example:8000", "HTTP://Chat.Example:8000"]
)
def test_by_default_the_origin_of_this_host_is_admitted(origin: str) -> None:
    admitted(decide(origin=origin))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://chat.example", "chat.example:443"),
        ("http://chat.example", "chat.example:80"),
        ("https://chat.example", "CHAT.example"),
        ("http://[::1]", "[0:0:0:0:0:0:0:1]:80"),
    ],
)
def test_the_default_port_and_the_case_of_a_host_do_not_matter(origin: str, host: str) -> None:
    admitted(decide(origin=origin, host=host))


@pytest.mark.parametrize(
    ("origin", "host"), [("https://chat.example", "chat.example:80"), ("http://chat.example:443", "chat.example")]
)
def test_the_default_port_of_the_other_scheme_is_another_port(origin: str, host: str) -> None:
    assert isinstance(decide(origin=origin, host=host), Rejected)


@pytest.mark.parametrize("host", ["[::1]:8000", "127.0.0.1", "Chat.Example"])
def test_a_host_without_port_or_with_an_address_is_compared_as_it_is(host: str) -> None:
    admitted(decide(origin=f"http://{host}", host=host))
    assert isinstance(decide(origin="http://other", host=host), Rejected)


@pytest.mark.parametrize(
    "origin",
    [
        *CRAFTED,
        *NOT_EVEN_A_URL,
        f"http://{HOST}",
        "http://app.example",
        "https://app.example:444",
        "https://app.example/",
        "https://app.example.evil",
        "http://localhost:3001",
        "http://localhost",
    ],
    ids=ascii,
)
def test_with_an_allow_list_any_other_origin_is_rejected(origin: str) -> None:
    assert isinstance(decide(origin=origin, allowed=ALLOWED), Rejected)


@pytest.mark.parametrize("origin", [*ALLOWED, "HTTPS://APP.EXAMPLE", "https://app.example:443"])
def test_with_an_allow_list_an_origin_on_it_is_admitted(origin: str) -> None:
    admitted(decide(origin=origin, allowed=ALLOWED))


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_star_in_the_allow_list_admits_every_origin(origin: str) -> None:
    admitted(decide(origin=origin, allowed=("*",)))


@pytest.mark.parametrize("allowed", [(), ALLOWED])
def test_a_handshake_without_an_origin_is_admitted(allowed: tuple[str, ...]) -> None:
    admitted(decide(allowed=allowed))


def test_the_origin_is_checked_before_the_names() -> None:
    assert isinstance(decide("/ws/chat/no room", origin="null"), Rejected)


def test_a_rejection_shows_no_more_than_the_beginning_of_a_long_origin() -> None:
    decision = decide(origin="x" * 100_000)
    assert isinstance(decision, Rejected)
    assert len(decision.refusal.message) < 300


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


@pytest.mark.parametrize("offered", ["graphql-ws", "tannoy.v2.json", "Tannoy.V1.Json", "bearer, tannoy.v1.jso"])
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
        "x&y=&user_id=ada&username=Ada",
    ],
)
def test_a_query_means_the_same_with_and_without_escapes(query: str) -> None:
    session = admitted(decide("/ws", query)).session
    assert (session.user_id, session.username) == ("ada", "Ada")


@pytest.mark.parametrize("query", ["&&&", "=", "user_id", "%", "a=%ff&b=%zz", "user_id=ada&user_id=ada", ";;"])
def test_a_malformed_query_raises_nothing(query: str) -> None:
    assert isinstance(decide("/ws", query), Admitted | AcceptedThenClosed)


@pytest.mark.parametrize(
    ("host", "admitted"),
    [("127.0.0.1:8000", True), ("localhost:8000", True), ("[::1]:8000", True), ("evil.example:8000", False)],
)
def test_a_node_on_loopback_admits_only_origins_with_a_loopback_name(host: str, admitted: bool) -> None:
    """DNS rebinding: the page was loaded from the attacker's name, which resolves to this machine."""
    decision = Admission(KEYSPACE, (), is_local=True).decide(
        Handshake("/ws", "", {"host": host, "origin": f"http://{host}"})
    )
    assert isinstance(decision, Admitted) is admitted


@pytest.mark.parametrize(("server_host", "admitted"), [("10.0.0.1", True), ("127.0.0.1", False), (None, False)])
def test_a_node_that_is_reached_at_another_address_admits_the_pages_of_its_host(
    server_host: str | None, admitted: bool
) -> None:
    """Another server than ours may listen on an address that the settings do not name."""
    headers = {"host": "10.0.0.1:8000", "origin": "http://10.0.0.1:8000"}
    decision = Admission(KEYSPACE, (), is_local=True).decide(Handshake("/ws", "", headers, server_host))
    assert isinstance(decision, Admitted) is admitted


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
