"""Which addresses the HTTP hooks may connect to. Pure: it judges an address, whatever name has led to it.

Whoever can change a name, or the answers of its DNS, could otherwise let a node send requests into the network that it
stands in (server-side request forgery): to other services, or to the metadata of a cloud.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from ...shared.errors import TannoyError
from ...shared.ip_addresses import IpAddress, IpNetwork, parse_ip_address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: its last 32 bits are the IPv4 address that is reached
_NOT_GLOBAL = (  # some versions of Python call these global
    IPv6Network("::/96"),  # an IPv4 address is compatible with each (RFC 4291)
    IPv6Network("64:ff9b:1::/48"),  # NAT64 of a network's own, wherever the IPv4 address stands in it (RFC 8215)
    IPv6Network("fec0::/10"),  # site-local (RFC 3879)
)


class AddressRefused(TannoyError):
    """A target at this address is not allowed. The message is for the operator."""


def check_address(address: str, allowed: Sequence[IpNetwork], *, is_encrypted: bool) -> None:
    """Raises AddressRefused. `allowed` are the networks of TANNOY_HOOK_NETWORKS."""
    parsed = parse_ip_address(address.partition("%")[0])  # a link-local address may name its interface
    if parsed is None:
        raise AddressRefused(f"{address!r:.60} is no IP address")
    reached = _address_behind(parsed)
    if any(each.version == network.version and each in network for each in (parsed, reached) for network in allowed):
        return
    if not reached.is_global or reached.is_multicast or any(reached in network for network in _NOT_GLOBAL):
        raise AddressRefused(f"{address} is a private address: TANNOY_HOOK_NETWORKS lists those that may be reached")
    if not is_encrypted:
        raise AddressRefused(
            f"{address} would be reached over http://, where others can read and change what is said: use https://, "
            "or list it in TANNOY_HOOK_NETWORKS if it is in a network of your own"
        )


def _address_behind(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 address leads to, where it is of that kind; else the address itself."""
    if not isinstance(address, IPv6Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = IPv4Address(address.packed[12:])
    return inner or address
