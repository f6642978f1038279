"""IP addresses as text: told from host names."""

from ipaddress import IPv4Address, IPv6Address, ip_address


def parse_ip_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that a host is; None: it is none, and may be a name. IPv6 is without brackets."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_ip_address(host: str) -> bool:
    return parse_ip_address(host) is not None
