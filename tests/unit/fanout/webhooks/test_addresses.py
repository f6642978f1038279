"""Which addresses the HTTP hooks may connect to."""

import pytest
from tannoy.fanout.webhooks.addresses import AddressRefused, check_address
from tannoy.shared.ip_addresses import parse_network

PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("::1", "fe80::1%eth0", "fc00::1", "::", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:a00:1::"),
    *("255.255.255.255", "198.18.0.1", "192.0.2.1", "2001:db8::1"),
    *("::10.1.2.3", "64:ff9b:1::a01:203", "fec0::1"),
]
PUBLIC = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_however_it_is_written(address: str) -> None:
    with pytest.raises(AddressRefused, match="TANNOY_HOOK_NETWORKS"):
        check_address(address, (), is_encrypted=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached_by_https_alone(address: str) -> None:
    check_address(address, (), is_encrypted=True)
    with pytest.raises(AddressRefused, match="use https://"):
        check_address(address, (), is_encrypted=False)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"])
def test_an_address_in_a_listed_network_is_allowed_also_without_tls(address: str) -> None:
    check_address(address, (parse_network("10.0.0.0/8"),), is_encrypted=False)


def test_an_address_in_no_listed_network_stays_refused() -> None:
    with pytest.raises(AddressRefused):
        check_address("10.1.2.3", (parse_network("10.2.0.0/16"), parse_network("fd00::/8")), is_encrypted=True)


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(AddressRefused, match="no IP address"):
        check_address("/run/docker.sock", (), is_encrypted=True)
