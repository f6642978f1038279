"""Which hosts are IP addresses."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from tannoy.shared.ip_addresses import is_ip_address, parse_ip_address


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
