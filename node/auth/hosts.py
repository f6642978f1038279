"""Hosts: whether an address or a name is this machine's."""

from ipaddress import IPv6Address

from ...shared.ip_addresses import parse_ip_address


def is_loopback(host: str | None) -> bool:
    """Whether `host` is a loopback address or `localhost`.

    A name that resolves to loopback is not, since anyone can register one (DNS rebinding). None, the client host of a
    Unix socket, is not either: what connects to one is a proxy, as a rule, whose clients may be anywhere.
    """
    if host is None:
        return False
    if host == "localhost":
        return True
    address = parse_ip_address(normalize_address(host))
    return address is not None and address.is_loopback


def normalize_address(host: str) -> str:
    """Return an IPv4 address that is written as IPv6, `::ffff:a.b.c.d`, as `a.b.c.d`; anything else unchanged.

    A socket that listens on `::` gives the addresses of IPv4 clients, and its own, in that form.
    """
    if ":" not in host:
        return host
    try:
        mapped = IPv6Address(host).ipv4_mapped
    except ValueError:
        return host
    return host if mapped is None else str(mapped)


def strip_port(host: str) -> str:
    """The name or address in a Host header, without its port and without the brackets of IPv6."""
    return host.rpartition(":")[0].strip("[]") if ":" in host.rpartition("]")[2] else host.strip("[]")
