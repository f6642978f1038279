"""IP addresses and networks as text: told from host names."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network


def parse_ip_address(host: str) -> IpAddress | None:
    """Return the IP address that a host is; None: it is none, and may be a name. IPv6 is without brackets."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_ip_address(host: str) -> bool:
    return parse_ip_address(host) is not None


def parse_network(text: str) -> IpNetwork:
    """Return a network, or an address as a network of one. Raises ValueError, with what is allowed."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither an IP address nor a network: allowed are entries like 192.0.2.1, 10.0.0.0/8 and "
            "fd00::/8, separated by commas"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(f"{text!r} has every address in it, those of clients too")
    if "/" in text and str(network.network_address) != str(ip_address(text.partition("/")[0])):
        raise ValueError(f"{text!r} is an address in {network}: write the address alone, or the network")
    return network
