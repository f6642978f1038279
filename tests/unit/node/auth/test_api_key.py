"""Who may use the HTTP API, with and without a key."""

import pytest
from tannoy.node.auth.api_key import authorize_request
from tannoy.node.auth.trusted_proxies import NO_PROXIES, TrustedProxies
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import Refused
from tannoy.shared.ip_addresses import parse_network

KEY = "s3cret"
LOCAL = {"host": "127.0.0.1:8000"}


def refusal_code(
    api_key: str,
    headers: dict[str, str],
    client_host: str | None,
    server_host: str | None = None,
    proxies: TrustedProxies = NO_PROXIES,
) -> ErrorCode | None:
    """The code with which a request is refused; None if it is authorized."""
    try:
        authorize_request(api_key, headers=headers, client_host=client_host, server_host=server_host, proxies=proxies)
    except Refused as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize("authorization", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY} "])
@pytest.mark.parametrize("client_host", ["127.0.0.1", "10.0.0.1"])
def test_a_request_with_the_key_is_authorized_from_any_host(authorization: str, client_host: str) -> None:
    assert refusal_code(KEY, {"authorization": authorization}, client_host) is None


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY, "Bearer é"],
)
@pytest.mark.parametrize("client_host", ["127.0.0.1", "10.0.0.1"])
def test_a_request_without_the_key_is_refused_from_any_host(authorization: str, client_host: str) -> None:
    assert refusal_code(KEY, {**LOCAL, "authorization": authorization}, client_host) is ErrorCode.BAD_TOKEN


@pytest.mark.parametrize("client_host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000"])
def test_without_a_key_a_local_client_is_authorized(client_host: str | None, host: str) -> None:
    assert refusal_code("", {"host": host}, client_host) is None


@pytest.mark.parametrize("server_host", ["10.0.0.1", "::ffff:10.0.0.1"])
@pytest.mark.parametrize("client_host", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_without_a_key_a_client_with_the_address_of_the_server_is_authorized(
    client_host: str, server_host: str
) -> None:
    assert refusal_code("", {"host": "10.0.0.1:8000"}, client_host, server_host) is None


FORWARDING = [
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-anything",
    "x-real-ip", "x-client-ip", "x-original-host", "true-client-ip", "cf-connecting-ip",
]  # fmt: skip


@pytest.mark.parametrize("name", FORWARDING)
@pytest.mark.parametrize("value", ["127.0.0.1", "10.0.0.1", ""])
def test_without_a_key_what_a_proxy_has_forwarded_is_refused(name: str, value: str) -> None:
    assert refusal_code("", {**LOCAL, name: value}, "127.0.0.1", "127.0.0.1") is ErrorCode.FORBIDDEN


def test_without_a_key_a_client_of_a_unix_socket_is_refused() -> None:
    assert refusal_code("", {"host": "localhost"}, None) is ErrorCode.FORBIDDEN


@pytest.mark.parametrize(
    ("relation", "code"),
    [
        ("cross-site", ErrorCode.FORBIDDEN),
        ("same-site", ErrorCode.FORBIDDEN),
        ("same-origin", None),
        ("none", None),
    ],
)
def test_without_a_key_what_another_page_embeds_is_refused(relation: str, code: ErrorCode | None) -> None:
    assert refusal_code("", {**LOCAL, "sec-fetch-site": relation}, "127.0.0.1") is code


def test_with_a_key_what_a_proxy_has_forwarded_is_authorized() -> None:
    headers = {"x-forwarded-for": "10.0.0.1", "authorization": f"Bearer {KEY}"}
    assert refusal_code(KEY, headers, None) is None


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer x"])
def test_without_a_key_a_client_on_another_host_is_refused(authorization: str) -> None:
    assert refusal_code("", {**LOCAL, "authorization": authorization}, "10.0.0.1") is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8000"])
def test_without_a_key_a_web_page_is_refused(origin: str) -> None:
    assert refusal_code("", {**LOCAL, "origin": origin}, "127.0.0.1") is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("headers", [{}, {"host": "evil.example"}, {"host": "evil.example:8000"}, {"host": "10.0.0.1"}])
def test_without_a_key_a_host_name_that_is_not_local_is_refused(headers: dict[str, str]) -> None:
    assert refusal_code("", headers, "127.0.0.1") is ErrorCode.FORBIDDEN


def test_a_refusal_does_not_show_the_key() -> None:
    with pytest.raises(Refused) as caught:
        authorize_request(KEY, headers={"authorization": "Bearer wrong"}, client_host=None)
    assert KEY not in caught.value.message


# ---- behind a trusted proxy

HERE = TrustedProxies([parse_network("127.0.0.1"), parse_network("10.0.0.0/8")])


def forwarded_code(client_host: str, forwarded_for: str, **headers: str) -> ErrorCode | None:
    return refusal_code("", {**LOCAL, "x-forwarded-for": forwarded_for, **headers}, client_host, proxies=HERE)


def test_without_a_key_a_client_on_this_machine_is_authorized_through_a_trusted_proxy_here() -> None:
    assert forwarded_code("127.0.0.1", "127.0.0.1", via="1.1 nginx") is None


@pytest.mark.parametrize(
    ("client_host", "forwarded_for"),
    [
        ("127.0.0.1", "203.0.113.7"),
        ("127.0.0.1", "127.0.0.1, 203.0.113.7"),
        ("127.0.0.1", "unknown"),
        ("127.0.0.1", ""),
        ("10.1.2.3", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.1"),
    ],
    ids=["client elsewhere", "forged", "unknown", "empty", "proxy elsewhere", "proxy not listed"],
)
def test_without_a_key_any_other_client_of_a_proxy_is_refused(client_host: str, forwarded_for: str) -> None:
    assert forwarded_code(client_host, forwarded_for) is ErrorCode.FORBIDDEN


def test_without_a_key_another_forwarding_header_of_a_trusted_proxy_names_nobody() -> None:
    headers = {**LOCAL, "forwarded": "for=127.0.0.1"}
    assert refusal_code("", headers, "127.0.0.1", proxies=HERE) is ErrorCode.FORBIDDEN


def test_without_a_key_the_host_has_to_be_local_behind_a_trusted_proxy_too() -> None:
    assert forwarded_code("127.0.0.1", "127.0.0.1", host="chat.example") is ErrorCode.FORBIDDEN
