"""Which texts may be the host of a server."""

import pytest
from tannoy.fanout.redis.host import why_no_host

GOOD = [
    "h",
    "redis_1",
    "r-1.example.com",
    "r.example.com.",
    "10.0.0.1",
    "::1",
    "fe80::1%eth0",
    "bücher.example",
    "x" * 63,
]
BAD = ["", ".", "a..b", ".a", "x" * 64, f"a.{'x' * 64}.b", "a b", "a\0b", "a\nb", "x." * 200, "\ud800"]


@pytest.mark.parametrize("host", GOOD)
def test_a_host_name_or_an_address_is_a_host(host: str) -> None:
    assert why_no_host(host) is None


@pytest.mark.parametrize("host", BAD)
def test_what_no_resolver_takes_is_no_host(host: str) -> None:
    reason = why_no_host(host)
    assert reason is not None
    assert reason.startswith("is no host name: ")
