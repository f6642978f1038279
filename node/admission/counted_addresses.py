"""The address by which a client is counted among others."""

from ipaddress import IPv6Address, ip_address

HOST_BYTES = 8
"""Of an IPv6 address the bytes that count, a network /64: one client has all addresses in it."""


def find_counted_address(peer_host: str | None) -> bytes | None:
    """Return the address of a peer, of IPv6 its /64; None: it is not counted.

    Peers on this machine are no strangers, and peers of a Unix socket have no address.
    """
    if not peer_host:
        return None
    try:
        address = ip_address(peer_host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return None if address.is_loopback else address.packed[:HOST_BYTES]
