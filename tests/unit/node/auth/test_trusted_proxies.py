"""Whose word on a client's address counts, and how the header is read."""

import pytest
from tannoy.node.auth.trusted_proxies import NO_PROXIES, TrustedProxies, parse_peer
from tannoy.shared.ip_addresses import parse_network

PROXIES = TrustedProxies([parse_network("10.0.0.0/8"), parse_network("127.0.0.1"), parse_network("fd00::/8")])
CLIENT = "203.0.113.7"


def find(peer: str, forwarded_for: str | None, proxies: TrustedProxies = PROXIES) -> str:
    headers = {} if forwarded_for is None else {"x-forwarded-for": forwarded_for}
    address = parse_peer(peer)
    assert address is not None
    return str(proxies.find_client(address, headers))


@pytest.mark.parametrize("peer", ["10.1.2.3", "127.0.0.1", "::ffff:10.1.2.3", "fd00::1"])
def test_a_trusted_proxy_names_the_client(peer: str) -> None:
    assert find(peer, CLIENT) == CLIENT


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "127.0.0.2"])
def test_anybody_else_speaks_for_itself(peer: str) -> None:
    assert find(peer, CLIENT) == peer


def test_without_trusted_proxies_nobody_speaks_for_others() -> None:
    assert find("127.0.0.1", CLIENT, NO_PROXIES) == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        (f"{CLIENT}, 10.0.0.9", CLIENT),
        (f"{CLIENT}, 10.0.0.9, 10.0.0.8", CLIENT),
        (f"192.0.2.99, {CLIENT}", CLIENT),
        (f"10.0.0.9, {CLIENT}", CLIENT),
        (f"127.0.0.1, {CLIENT}, 10.0.0.9", CLIENT),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_trusted_proxy(forwarded_for: str, client: str) -> None:
    assert find("10.1.2.3", forwarded_for) == client


@pytest.mark.parametrize("garbage", ["", "unknown", "'; DROP TABLE", "999.1.1.1", "x" * 1000])
def test_what_a_client_has_written_itself_does_not_matter(garbage: str) -> None:
    assert find("10.1.2.3", f"{garbage}, {CLIENT}") == CLIENT


def test_of_trusted_proxies_alone_the_one_that_is_furthest_away_is_the_client() -> None:
    assert find("10.1.2.3", "10.0.0.7, 10.0.0.9") == "10.0.0.7"


@pytest.mark.parametrize(
    ("hop", "client"),
    [
        ("203.0.113.7:4711", CLIENT),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:203.0.113.7", CLIENT),
        ("  203.0.113.7  ", CLIENT),
    ],
)
def test_an_address_may_have_a_port_and_brackets(hop: str, client: str) -> None:
    assert find("10.1.2.3", hop) == client


MALFORMED = [
    *("", " ", ",", "unknown", "_hidden", "localhost", "203.0.113", "203.0.113.7:", "203.0.113.7:x"),
    *("[::1", "[::1]x", "[]", "203.0.113.7:123456", "for=203.0.113.7", f"{CLIENT}, unknown", f"{CLIENT},"),
]


@pytest.mark.parametrize("forwarded_for", MALFORMED)
def test_where_a_trusted_proxy_writes_no_address_its_own_counts(forwarded_for: str) -> None:
    assert find("10.1.2.3", forwarded_for) == "10.1.2.3"


def test_a_trusted_proxy_that_forwards_nothing_is_the_client() -> None:
    assert find("10.1.2.3", None) == "10.1.2.3"


@pytest.mark.parametrize("host", [None, "", "localhost", "unix:/run/node.sock"])
def test_a_peer_without_an_address_speaks_for_itself(host: str | None) -> None:
    assert parse_peer(host) is None
    assert PROXIES.describe(host, {"x-forwarded-for": CLIENT}) == host


def test_a_client_is_described_by_its_address() -> None:
    assert PROXIES.describe("10.1.2.3", {"x-forwarded-for": CLIENT}) == CLIENT
