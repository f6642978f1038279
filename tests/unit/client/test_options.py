"""The arguments of `connect`, and the addresses that are made of them."""

from typing import Any

import pytest
from tannoy.client.errors import ClientError
from tannoy.client.options import Options, SlowReader, check_options
from tannoy.shared.publication import Position

GIVEN: dict[str, Any] = {
    "user_id": None,
    "username": None,
    "encoding": "json",
    "queue_size": 10,
    "slow_reader": "pause",
    "max_attempts": None,
    "timeout": 10.0,
    "connect_timeout": 30.0,
    "ssl": None,
}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def options(url: str = "ws://node:8000", **fields: Any) -> Options:
    return check_options(url, **(GIVEN | fields))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://node:8000", "ws://node:8000/ws"),
        ("ws://node:8000/", "ws://node:8000/ws"),
        ("wss://example.com/rt", "wss://example.com/rt/ws"),
        ("http://node:8000", "ws://node:8000/ws"),
        ("https://example.com", "wss://example.com/ws"),
        ("ws://[::1]:8000", "ws://[::1]:8000/ws"),
    ],
)
def test_the_address_of_an_endpoint_lies_below_that_of_the_cluster(url: str, address: str) -> None:
    assert options(url).build_address("/ws", user_id=None) == address


def test_an_address_names_the_user_the_session_and_the_position_to_recover_from() -> None:
    address = options(username="Ada L").build_address(
        "/ws/agents/42", user_id="a+b", session_id="tab", recover_from=Position("e1", 7)
    )
    assert address == "ws://node:8000/ws/agents/42?user_id=a%2Bb&username=Ada+L&session_id=tab&epoch=e1&offset=7"


@pytest.mark.parametrize(
    "url", ["node:8000", "ftp://node", "ws://", "ws://node:8000?x=1", "ws://node#top", "", "ws://no de"]
)
def test_a_malformed_address_is_refused_by_its_name(url: str) -> None:
    with pytest.raises(ClientError, match="is not the address of a cluster"):
        options(url)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("encoding", "xml"),
        ("queue_size", 0),
        ("max_attempts", 0),
        ("timeout", 0),
        ("connect_timeout", -1),
        ("slow_reader", "ignore"),
    ],
)
def test_a_bad_argument_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=str(value)):
        options(**{field: value})


def test_the_policy_may_be_given_as_a_word() -> None:
    assert options(slow_reader="recover").slow_reader is SlowReader.RECOVER
