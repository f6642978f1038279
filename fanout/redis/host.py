"""What may be the host of a server: a host name or an IP address, from a URL, a Sentinel or a server of a cluster."""

HOST_MAX = 253
"""Characters of a host name, as DNS has it."""


def why_no_host(host: str) -> str | None:
    """Why it can be neither a host name nor an IP address; None: it can. The text continues a sentence about it."""
    try:
        labels = host.encode("idna") if 0 < len(host) <= HOST_MAX else b""
    except UnicodeError:
        labels = b""
    if not labels or len(labels) > HOST_MAX or any(byte <= 0x20 or byte == 0x7F for byte in labels):
        return f"is no host name: that has up to {HOST_MAX} characters, each of its words between dots 1 to 63"
    return None
