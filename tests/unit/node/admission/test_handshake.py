"""Whether a handshake becomes a session: origin, wire format, names."""

import pytest
from tannoy.node.admission.handshake import AcceptedThenClosed, Admission, Admitted, Handshake, Rejected, is_ours
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
    """The decision over a handshake; a header `sec_websocket_protocol` is called `sec-websocket-protocol`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        named["host"] = host
    return Admission(KEYSPACE, allowed).decide(Handshake(path, query, named))


def admitted(decision: Decision) -> Admitted:
    assert isinstance(decision, Admitted), decision
    return decision


# ---- origin: what a browser on a foreign page sends, and what somebody might craft

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


def test_there_are_forty_crafted_origins_and_more() -> None:
    assert len({*CRAFTED, *NOT_EVEN_A_URL}) > 50


@pytest.mark.parametrize("origin", CRAFTED, ids=ascii)
def test_by_default_a_page_that_this_host_has_not_served_is_rejected(origin: str) -> None:
    decision = decide(origin=origin)
    assert isinstance(decision, Rejected)
    assert (decision.status, decision.refusal.code) == (403, ErrorCode.FORBIDDEN)


@pytest.mark.parametrize("origin", NOT_EVEN_A_URL)
def test_an_origin_that_is_not_even_a_url_is_rejected(origin: str) -> None:
    assert isinstance(decide(origin=origin), Rejected)


@pytest.mark.parametrize("path", ["/", "/ws", "?", "#", "/../", "\t", "\n"], ids=ascii)
def test_an_origin_is_nothing_but_scheme_and_host(path: str) -> None:
    # RFC 6454 §6.2. No browser sends more, so whatever does is no browser and no page of ours.
    assert isinstance(decide(origin=f"http://{HOST}{path}"), Rejected)


@pytest.mark.parametrize("origin", ["http://", "https://", "http:", "http:///"])
@pytest.mark.parametrize("host", ["", None])
def test_no_host_is_nobodys_host(origin: str, host: str | None) -> None:
    assert isinstance(decide(origin=origin, host=host), Rejected)


@pytest.mark.parametrize(
    "origin", ["http://chat.example:8000", "https://chat.example:8000", "HTTP://Chat.Example:8000"]
)
def test_by_default_a_page_that_this_host_has_served_may_connect(origin: str) -> None:
    admitted(decide(origin=origin))


@pytest.mark.parametrize("host", ["[::1]:8000", "127.0.0.1", "Chat.Example"])
def test_any_form_of_host_is_compared_as_it_is(host: str) -> None:
    admitted(decide(origin=f"http://{host}", host=host))
    assert isinstance(decide(origin="http://other", host=host), Rejected)


@pytest.mark.parametrize(
    "origin",
    [
        *CRAFTED,
        *NOT_EVEN_A_URL,
        f"http://{HOST}",
        "http://app.example",
        "https://app.example:443",
        "https://app.example/",
        "https://app.example.evil",
        "http://localhost:3001",
        "http://localhost",
    ],
    ids=ascii,
)
def test_with_an_allow_list_any_other_origin_is_rejected(origin: str) -> None:
    assert isinstance(decide(origin=origin, allowed=ALLOWED), Rejected)


@pytest.mark.parametrize("origin", [*ALLOWED, "HTTPS://APP.EXAMPLE"])
def test_with_an_allow_list_those_on_it_may_connect(origin: str) -> None:
    admitted(decide(origin=origin, allowed=ALLOWED))


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_star_allows_every_page(origin: str) -> None:
    admitted(decide(origin=origin, allowed=("*",)))


@pytest.mark.parametrize("allowed", [(), ALLOWED])
def test_whoever_is_no_browser_sends_no_origin_and_may_connect(allowed: tuple[str, ...]) -> None:
    admitted(decide(allowed=allowed))


def test_the_origin_is_judged_before_anything_else() -> None:
    assert isinstance(decide("/ws/chat/no room", origin="null"), Rejected)


def test_a_rejection_does_not_echo_a_flood() -> None:
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
        ("graphql-ws", JSON, None),
        ("tannoy.v2.json", JSON, None),
        ("Tannoy.V1.Json", JSON, None),
        (",,", JSON, None),
        ("", JSON, None),
    ],
)
def test_the_clients_first_choice_out_of_what_we_speak_is_taken(
    offered: str, wire: WireFormat, echoed: str | None
) -> None:
    decision = admitted(decide(sec_websocket_protocol=offered))
    assert (decision.wire, decision.subprotocol) == (wire, echoed)


def test_without_an_offer_it_is_json_and_nothing_is_echoed() -> None:
    decision = admitted(decide())
    assert (decision.wire, decision.subprotocol) == (JSON, None)


def test_whoever_is_turned_away_is_told_in_its_own_format() -> None:
    decision = decide("/ws/chat/a%20b", sec_websocket_protocol="tannoy.v1.msgpack")
    assert isinstance(decision, AcceptedThenClosed)
    assert (decision.wire, decision.subprotocol) == (MSGPACK, "tannoy.v1.msgpack")


# ---- paths and names


@pytest.mark.parametrize("path", ["/ws", "/ws/chat/lobby", "/ws/agents/42", "/ws/chat/", "/ws/agents/a/b"])
def test_the_paths_of_the_contract_are_ours(path: str) -> None:
    assert is_ours(path)


@pytest.mark.parametrize("path", ["/", "", "/ws/", "/WS", "/ws/chat", "/ws/agents", "/wss", "/other/ws", "/ws/rooms/a"])
def test_all_other_paths_are_not(path: str) -> None:
    assert not is_ours(path)


def test_a_plain_socket_has_no_home() -> None:
    session = admitted(decide("/ws")).session
    assert (session.endpoint, session.home) == (Endpoint.ROOMS, None)


@pytest.mark.parametrize("path", ["/ws/chat/team%3Ablue", "/ws/chat/team:blue"])
def test_a_chat_socket_is_at_home_in_its_room(path: str) -> None:
    session = admitted(decide(path)).session
    assert session.endpoint is Endpoint.ROOM
    assert session.home is not None
    assert (session.home.kind, session.home.name) == ("room", "team:blue")


def test_an_agents_socket_is_at_home_with_its_agent_under_its_own_name() -> None:
    session = admitted(decide("/ws/agents/42", "session_id=s1&user_id=ada&username=Ada%20L")).session
    assert session.endpoint is Endpoint.AGENT
    assert session.home == KEYSPACE.agent(AgentId("42"))
    assert (session.session_id, session.user_id, session.username) == ("s1", "ada", "Ada L")


@pytest.mark.parametrize("path", ["/ws", "/ws/chat/lobby"])
def test_only_an_agents_session_may_be_named_by_the_client(path: str) -> None:
    assert admitted(decide(path, "session_id=s1")).session.session_id != "s1"


BAD_NAMES = ["", "a b", "a%20b", "a/b", "a%2Fb", "%00", "*", "%7Bx%7D", "%C3%A9", "%ff", "a" * 129, "..%2F..", "a%0Ab"]


@pytest.mark.parametrize("prefix", ["/ws/chat/", "/ws/agents/"])
@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: f"{name:.9}")
def test_a_bad_name_in_the_path_is_turned_away(prefix: str, name: str) -> None:
    decision = decide(prefix + name)
    assert isinstance(decision, AcceptedThenClosed)
    assert (decision.refusal.code, decision.code) == (ErrorCode.BAD_NAME, CloseCode.FORBIDDEN)


@pytest.mark.parametrize("query", ["user_id=a%20b", "user_id=", "username=", "username=a%0Ab", "session_id=%2F"])
def test_a_bad_name_in_the_query_is_turned_away(query: str) -> None:
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
def test_an_odd_query_is_no_failure(query: str) -> None:
    assert isinstance(decide("/ws", query), Admitted | AcceptedThenClosed)


@pytest.mark.parametrize(
    ("host", "admitted"),
    [("127.0.0.1:8000", True), ("localhost:8000", True), ("[::1]:8000", True), ("evil.example:8000", False)],
)
def test_on_loopback_a_name_that_was_made_to_point_here_is_not_ours(host: str, admitted: bool) -> None:
    """DNS rebinding: the page's host and ours are the same name, and it is the attacker's."""
    decision = Admission(KEYSPACE, (), is_local=True).decide(
        Handshake("/ws", "", {"host": host, "origin": f"http://{host}"})
    )
    assert isinstance(decision, Admitted) is admitted
