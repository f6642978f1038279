"""By which address a client is counted."""

import pytest
from tannoy.node.admission.counted_addresses import find_counted_address
from tannoy.node.auth.trusted_proxies import TrustedProxies
from tannoy.shared.ip_addresses import parse_network


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "", "localhost", None])
def test_a_peer_of_this_machine_is_not_counted(host: str | None) -> None:
    assert find_counted_address(host) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"),
        ("fe80::1%eth0", "fe80::2"),
    ],
)
def test_addresses_of_one_client_count_as_one(one: str, other: str) -> None:
    assert find_counted_address(one) == find_counted_address(other) is not None


@pytest.mark.parametrize(("one", "other"), [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1")])
def test_addresses_of_different_clients_count_apart(one: str, other: str) -> None:
    assert find_counted_address(one) != find_counted_address(other)


def test_a_trusted_proxy_is_not_counted_since_it_speaks_for_many_clients() -> None:
    proxies = TrustedProxies([parse_network("192.0.2.0/24")])
    assert find_counted_address("192.0.2.7", proxies) is None
    assert find_counted_address("198.51.100.7", proxies) is not None
