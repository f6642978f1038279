"""Which origins a handshake may have: what a browser on a foreign page sends, and what an attacker may send."""

import pytest
from tannoy.node.admission.handshake import Admission, Admitted, Handshake, Rejected
from tannoy.shared.codes import ErrorCode

from tests.support.handshakes import HOST, KEYSPACE, admitted, decide

ALLOWED = ("https://app.example", "http://localhost:3000")

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


AROUND = [
    "evil{}", "evil-{}", "evil.{}", "www.{}", ".{}", "{}.evil.example", "{}.", "{}..", "{}evil", "{}:80", "{}:8001",
    "{}:08000x", "{}:", "{}:-8000", "{}:8000:8000", "{}@evil.example", "evil.example@{}", "user@{}", "user:pass@{}",
    "{}/", "{}/..", "{}?", "{}#", "{}\\", "{}%00", "{}%2e", "{}%20", "{} ", " {}", "{}\t", "{}\x00", "{}\u200b",
    "{}\ufeff", "{}\u3002", "{}\uff0e", "{},{}", "{} {}", "[{}]", "({})", "'{}'", "*.{}", "{}*", "%63{}", "xn--{}",
    "{};", "{}|", "/{}", "//{}", "\\{}", "evil.example/{}", "evil.example?{}", "evil.example#{}",
    "evil.example:8000/{}",
]  # fmt: skip
"""What is written around the host of an origin that is allowed."""
SCHEMES = ("http", "https", "ws", "file")
MANY = sorted(
    {
        *CRAFTED,
        *NOT_EVEN_A_URL,
        *(f"{scheme}://{form.replace('{}', HOST)}" for scheme in SCHEMES for form in AROUND),
        *(f"https://{form.replace('{}', 'app.example')}" for form in AROUND),
    }
)


def test_none_of_two_hundred_crafted_origins_is_accepted() -> None:
    accepted = [
        (origin, allowed)
        for origin in MANY
        for allowed in ((), ALLOWED)
        if not isinstance(decide(origin=origin, allowed=allowed), Rejected)
    ]
    assert len(MANY) > 200
    assert accepted == []


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


@pytest.mark.parametrize(
    ("origin", "admitted"),
    [
        *((f"http://{host}:5173", True) for host in ("localhost", "127.0.0.1", "127.0.0.2", "[::1]", "LOCALHOST")),
        ("https://localhost", True),
        ("http://localhost.evil.example:5173", False),
        ("http://evil.example:5173", False),
        ("http://10.0.0.1:5173", False),
        ("http://localhost:5173.evil.example", False),
        ("http://evil.example@localhost:5173", False),
        ("http://localhost:5173/", False),
        ("chrome-extension://localhost", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_node_on_loopback_admits_the_pages_of_all_servers_of_the_machine(origin: str, admitted: bool) -> None:
    handshake = Handshake("/ws", "", {"host": "127.0.0.1:8000", "origin": origin}, "127.0.0.1")
    assert isinstance(Admission(KEYSPACE, (), is_local=True).decide(handshake), Admitted) is admitted


def test_a_node_that_is_not_on_loopback_admits_no_page_of_another_server_of_its_machine() -> None:
    handshake = Handshake("/ws", "", {"host": "127.0.0.1:8000", "origin": "http://localhost:5173"}, "127.0.0.1")
    assert isinstance(Admission(KEYSPACE, ()).decide(handshake), Rejected)
