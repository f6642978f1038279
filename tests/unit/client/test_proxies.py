"""The proxy of the environment: never for this machine, and named in messages without its password."""

import pytest
from tannoy.client.errors import ClientError
from tannoy.client.proxies import find_proxy


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A proxy for http, and no other."""
    for name in ("https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://ada:hunter2@proxy.example:3128")
    return monkeypatch


def test_a_cluster_elsewhere_is_reached_through_the_proxy() -> None:
    found = find_proxy("http://tannoy.example:8000")

    assert found is not None
    assert (found.url, str(found)) == (
        "http://ada:hunter2@proxy.example:3128",
        "the proxy proxy.example:3128 (http_proxy)",
    )


@pytest.mark.parametrize("host", ["localhost", "tannoy.localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_this_machine_is_reached_directly(host: str) -> None:
    assert find_proxy(f"http://{host}:8000") is None


def test_a_host_of_no_proxy_is_reached_directly(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("no_proxy", "tannoy.example")

    assert find_proxy("http://tannoy.example:8000") is None


def test_the_proxy_of_another_scheme_is_not_used() -> None:
    assert find_proxy("https://tannoy.example") is None


def test_a_proxy_without_a_scheme_is_one_for_http(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("http_proxy", "proxy.example:3128")

    found = find_proxy("http://tannoy.example:8000")

    assert found is not None
    assert found.url == "http://proxy.example:3128"


@pytest.mark.parametrize("proxy", ["socks5://h:1080", "http://[", "http://h:99999", "http://"])
def test_a_proxy_that_can_not_be_used_is_an_error_with_the_remedy(environment: pytest.MonkeyPatch, proxy: str) -> None:
    environment.setenv("http_proxy", proxy)

    with pytest.raises(ClientError, match=r"http_proxy.*http://HOST:PORT is expected, or no_proxy=tannoy\.example"):
        find_proxy("http://tannoy.example:8000")
