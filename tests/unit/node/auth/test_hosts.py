"""Which hosts are this machine's."""

import pytest
from tannoy.node.auth.hosts import is_loopback, normalize_address, strip_port


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "::ffff:127.0.0.1", "::FFFF:7f00:1"])
def test_a_loopback_address_and_localhost_are_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "0.0.0.0",
        "::ffff:10.0.0.1",
        "10.0.0.1",
        "128.0.0.1",
        "::",
        "2001:db8::1",
        "example.com",
        "1.127.0.0",
        "localhost.evil.example",
    ],
)
def test_any_other_address_or_name_or_a_unix_socket_is_not_loopback(host: str | None) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.evil.example", "127.0.0.1.evil.example", "127.", "127.0.0.1@evil.example"])
def test_a_name_that_begins_like_a_loopback_address_is_not_loopback(host: str) -> None:
    # Anyone can register such a name and let it resolve to this machine: DNS rebinding.
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("localhost:8000", "localhost"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8000", "::1"),
        ("", ""),
    ],
)
def test_strip_port_returns_the_name_or_address_of_a_host_header(host: str, name: str) -> None:
    assert strip_port(host) == name


@pytest.mark.parametrize(
    ("address", "normalized"),
    [
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::ffff:a01:203", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("localhost", "localhost"),
        ("a:b", "a:b"),
    ],
)
def test_an_ipv4_address_in_ipv6_is_normalized(address: str, normalized: str) -> None:
    assert normalize_address(address) == normalized
