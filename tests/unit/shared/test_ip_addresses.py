"""Which hosts are IP addresses."""

import re
from ipaddress import IPv4Address, IPv6Address

import pytest
from tannoy.shared.ip_addresses import is_ip_address, parse_ip_address, parse_network


@pytest.mark.parametrize(
    ("host", "address"),
    [("10.0.0.1", IPv4Address("10.0.0.1")), ("::1", IPv6Address("::1")), ("fe80::1%eth0", IPv6Address("fe80::1%eth0"))],
)
def test_an_address_is_parsed(host: str, address: IPv4Address | IPv6Address) -> None:
    assert parse_ip_address(host) == address


@pytest.mark.parametrize("host", ["", "h", "1.2.3", "[::1]", "10.0.0.1:80", "localhost"])
def test_what_is_no_address_is_none(host: str) -> None:
    assert parse_ip_address(host) is None


@pytest.mark.parametrize(("host", "expected"), [("10.0.0.1", True), ("::1", True), ("h", False), ("1.2.3", False)])
def test_an_address_is_told_from_a_name(host: str, expected: bool) -> None:
    assert is_ip_address(host) is expected


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("fd00::/8", "fd00::/8"),
        ("FD00:0::/8", "fd00::/8"),
    ],
)
def test_a_network_is_parsed_and_an_address_is_a_network_of_one(text: str, network: str) -> None:
    assert str(parse_network(text)) == network


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("proxy.example", "'proxy.example' is neither an IP address nor a network: allowed are entries like 192.0.2.1"),
        ("10.0.0.0/33", "is neither an IP address nor a network"),
        ("*", "is neither an IP address nor a network"),
        ("10.1.2.3/8", "'10.1.2.3/8' is an address in 10.0.0.0/8: write the address alone, or the network"),
        ("fd00::1/8", "'fd00::1/8' is an address in fd00::/8"),
        ("0.0.0.0/0", "'0.0.0.0/0' has every address in it, those of clients too"),
        ("::/0", "has every address in it"),
    ],
)
def test_what_is_no_network_is_refused_with_what_is_allowed(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_network(text)
