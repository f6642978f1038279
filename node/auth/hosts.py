"""Hosts: whether an address or a name is this machine's."""

from ipaddress import ip_address


def is_loopback(host: str | None) -> bool:
    """Whether `host` is a loopback address or `localhost`.

    None, the client host of a Unix socket, is loopback: such a client is on this machine. A name that resolves to
    loopback is not, since anyone can register one (DNS rebinding).
    """
    if host is None or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def strip_port(host: str) -> str:
    """The name or address in a Host header, without its port and without the brackets of IPv6."""
    return host.rpartition(":")[0].strip("[]") if ":" in host.rpartition("]")[2] else host.strip("[]")
