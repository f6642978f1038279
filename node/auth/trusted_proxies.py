"""Where a client is, behind proxies whose word counts: `X-Forwarded-For`, read from the right.

Each proxy appends the address that it was reached from. So the right-most address that is no trusted proxy's was
written by one, and what stands left of it by anybody. `Forwarded` (RFC 7239) is not read: a proxy that sets one of the
two headers passes the other one on as the client wrote it.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address

from ...shared.ip_addresses import IpAddress, IpNetwork, parse_ip_address

FORWARDED_FOR = "x-forwarded-for"
PARSED_MAX = 1024
"""Addresses that are remembered as they were parsed: those of proxies come with each handshake."""


@lru_cache(maxsize=PARSED_MAX)
def parse_peer(host: str | None) -> IpAddress | None:
    """The address of a peer, in IPv4 where it is written as IPv6; None: it has none, as over a Unix socket."""
    address = None if host is None else parse_ip_address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=PARSED_MAX)
def _normalize(host: str | None) -> str | None:
    """The address of a peer as text; of one without an IP address what it has."""
    peer = parse_peer(host)
    return host if peer is None else str(peer)


class TrustedProxies:
    """`networks`: those of the proxies, an address being a network of one."""

    def __init__(self, networks: Iterable[IpNetwork] = ()) -> None:
        self._networks = tuple(networks)

    def trust(self, address: IpAddress) -> bool:
        return any(address in network for network in self._networks)

    def find_forwarded(self, peer: IpAddress, headers: Mapping[str, str]) -> IpAddress | None:
        """The client whose request this peer has forwarded; None: it is no trusted proxy, or says nothing readable."""
        return self.read_forwarded(headers) if FORWARDED_FOR in headers and self.trust(peer) else None

    def read_forwarded(self, headers: Mapping[str, str]) -> IpAddress | None:
        """The client that a trusted proxy says to speak for; None: it says nothing readable.

        Names of `headers` are in lower case, and the values of a repeated one joined by commas. If all addresses are
        those of trusted proxies, the client is the one that is furthest away.
        """
        forwarded_for = headers.get(FORWARDED_FOR)
        if forwarded_for is None:
            return None
        client = None
        for hop in reversed(forwarded_for.split(",")):
            client = _parse_hop(hop.strip())
            if client is None or not self.trust(client):
                break
        return client

    def find_client(self, peer: IpAddress, headers: Mapping[str, str]) -> IpAddress:
        """The client that a peer speaks for: itself, unless it is a trusted proxy that names another one."""
        return self.find_forwarded(peer, headers) or peer

    def describe(self, peer_host: str | None, headers: Mapping[str, str]) -> str | None:
        """The address of the client, as text; of a peer without an IP address what it has."""
        if FORWARDED_FOR not in headers:
            return _normalize(peer_host)
        peer = parse_peer(peer_host)
        return peer_host if peer is None else str(self.find_client(peer, headers))


NO_PROXIES = TrustedProxies()


def _parse_hop(hop: str) -> IpAddress | None:
    """An address, with or without a port: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        address, bracket, port = hop[1:].partition("]")
        return parse_peer(address) if bracket and (not port or _is_port(port)) else None
    address, colon, port = hop.partition(":")
    return parse_peer(address if colon and _is_port(f":{port}") else hop)


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6
