"""The address by which a client is counted among others."""

from ...shared.ip_addresses import IpAddress
from ..auth.trusted_proxies import NO_PROXIES, TrustedProxies, parse_peer

_HOST_BYTES = 8
"""Of an IPv6 address the bytes that count, a network /64: one client has all addresses in it."""


def counted_address(address: IpAddress) -> bytes:
    """The address, of IPv6 its /64, as a key."""
    return address.packed[:_HOST_BYTES]


def counted_stranger(peer: IpAddress) -> bytes | None:
    """The key by which a peer that is no trusted proxy is counted; None: it is on this machine, and so no stranger."""
    return None if peer.is_loopback else counted_address(peer)


def find_counted_address(peer_host: str | None, proxies: TrustedProxies = NO_PROXIES) -> bytes | None:
    """The key by which a peer is counted; None: it is not counted.

    Peers on this machine are no strangers, trusted proxies speak for many clients, and peers of a Unix socket have no
    address.
    """
    peer = parse_peer(peer_host)
    return None if peer is None or proxies.trust(peer) else counted_stranger(peer)
