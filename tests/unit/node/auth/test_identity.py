"""Who a session belongs to, and who may call the API."""

import pytest
from tannoy.node.auth.identity import authorize_api, host_name, identify, is_loopback, new_session_id
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import BadName, Refused
from tannoy.shared.names import parse_session, parse_user, parse_username

KEY = "s3cret"


def test_a_client_may_say_who_it_is() -> None:
    author = identify({"user_id": "ada", "username": "Ada Lovelace", "session_id": "s1"})
    assert (author.user_id, author.username, author.session_id) == ("ada", "Ada Lovelace", "s1")


def test_a_username_is_the_user_id_where_none_is_given() -> None:
    assert identify({"user_id": "ada"}).username == "ada"


def test_a_guest_gets_a_name_that_is_a_name() -> None:
    guest = identify({})
    assert guest.username == guest.user_id
    assert parse_user(guest.user_id) == guest.user_id
    assert parse_username(guest.username) == guest.username
    assert parse_session(guest.session_id) == guest.session_id


def test_no_two_sessions_get_the_same_name() -> None:
    assert len({new_session_id() for _ in range(1000)}) == 1000


def test_a_made_up_session_name_is_always_a_name() -> None:
    for _ in range(1000):
        parse_session(new_session_id())


@pytest.mark.parametrize(
    "query", [{"user_id": ""}, {"user_id": "a b"}, {"username": "\n"}, {"session_id": "/"}], ids=str
)
def test_a_bad_name_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadName):
        identify(query)


@pytest.mark.parametrize("host", [None, "127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_this_machine(host: str | None) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "10.0.0.1", "128.0.0.1", "::", "2001:db8::1", "example.com", "1.127.0.0", "localhost.evil.example"],
)
def test_any_other_host_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.evil.example", "127.0.0.1.evil.example", "127.", "127.0.0.1@evil.example"])
def test_a_host_name_that_only_begins_like_loopback_is_not(host: str) -> None:
    # Anybody can own such a name and make it point here: DNS rebinding.
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("localhost:8000", "localhost"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8000", "::1"),
        ("", ""),
    ],
)
def test_the_name_in_a_host_header_is_what_stands_before_the_port(host: str, name: str) -> None:
    assert host_name(host) == name


# ---- the API

HERE = {"host": "127.0.0.1:8000"}


def code_of(api_key: str, headers: dict[str, str], client_host: str | None) -> ErrorCode | None:
    """Why a back end may not call; None: it may."""
    try:
        authorize_api(api_key, headers=headers, client_host=client_host)
    except Refused as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize("authorization", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY} "])
@pytest.mark.parametrize("client_host", ["127.0.0.1", "10.0.0.1"])
def test_the_key_lets_a_back_end_in_from_anywhere(authorization: str, client_host: str) -> None:
    assert code_of(KEY, {"authorization": authorization}, client_host) is None


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY, "Bearer é"],
)
@pytest.mark.parametrize("client_host", ["127.0.0.1", "10.0.0.1"])
def test_without_the_key_nobody_is_let_in_from_anywhere(authorization: str, client_host: str) -> None:
    assert code_of(KEY, {**HERE, "authorization": authorization}, client_host) is ErrorCode.BAD_TOKEN


@pytest.mark.parametrize("client_host", ["127.0.0.1", "::1", None])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000"])
def test_where_no_key_is_set_this_machine_is_served(client_host: str | None, host: str) -> None:
    assert code_of("", {"host": host}, client_host) is None


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer x"])
def test_where_no_key_is_set_nobody_else_is_served(authorization: str) -> None:
    assert code_of("", {**HERE, "authorization": authorization}, "10.0.0.1") is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8000"])
def test_where_no_key_is_set_no_web_page_is_served(origin: str) -> None:
    assert code_of("", {**HERE, "origin": origin}, "127.0.0.1") is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("headers", [{}, {"host": "evil.example"}, {"host": "evil.example:8000"}, {"host": "10.0.0.1"}])
def test_where_no_key_is_set_a_host_name_that_points_here_is_not_served(headers: dict[str, str]) -> None:
    assert code_of("", headers, "127.0.0.1") is ErrorCode.FORBIDDEN


def test_a_refusal_does_not_show_the_key() -> None:
    with pytest.raises(Refused) as caught:
        authorize_api(KEY, headers={"authorization": "Bearer wrong"}, client_host=None)
    assert KEY not in caught.value.message
