"""What the answers of a back end mean (TANNOY_AUTH=hook)."""

from typing import NamedTuple

import orjson
import pytest
from tannoy.node.hooks.questions import JoinsAsked, read_decision, read_identity, read_permission


class Said(NamedTuple):
    status: int
    body: bytes
    max_age: int = 0


def of_connect(body: object, status: int = 200) -> Said:
    return Said(status, orjson.dumps(body))


def test_an_answer_that_names_a_user_admits_it_to_what_it_lists() -> None:
    answer = of_connect({"user_id": 7, "username": "Ada", "rooms": ["team.*"], "can": ["publish"], "expires_at": 2e9})
    identity = read_decision(answer, read_identity).identity
    assert identity is not None
    assert (identity.claims.user_id, identity.claims.username) == ("7", "Ada")
    assert identity.claims.rooms.match("team.1")
    assert not identity.claims.rooms.match("other")
    assert identity.data == JoinsAsked(rooms=False, agents=True)


def test_without_lists_every_join_is_asked_about() -> None:
    identity = read_decision(of_connect({"user_id": "ada"}), read_identity).identity
    assert identity is not None
    assert identity.data == JoinsAsked(rooms=True, agents=True)
    assert identity.claims.agents.match("42")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"user_id": None},
        {"user_id": "a b"},
        {"user_id": "ada", "admin": True},
        {"user_id": "ada", "rooms": "lobby"},
        {"user_id": "ada", "rooms": [7]},
        {"user_id": "ada", "can": ["fly"]},
        {"user_id": "ada", "expires_at": "tomorrow"},
        {"user_id": "ada", "expires_at": True},
        {"user_id": "ada", "expires_at": -1},
    ],
)
def test_an_answer_to_connect_that_is_none_admits_nobody(body: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_decision(of_connect(body), read_identity)


@pytest.mark.parametrize("body", [{"allow": True}, {"allow": False}])
def test_an_answer_to_join_says_yes_or_no(body: dict[str, bool]) -> None:
    assert read_decision(of_connect(body), read_permission).is_allowed is body["allow"]


@pytest.mark.parametrize("body", [{}, {"allow": 1}, {"allow": "true"}, {"allow": True, "room": "x"}, True, None])
def test_an_answer_to_join_that_is_none_allows_nothing(body: object) -> None:
    with pytest.raises(ValueError, match="answer to join"):
        read_decision(of_connect(body), read_permission)


def test_a_body_that_is_no_json_is_no_answer() -> None:
    with pytest.raises(ValueError, match=r"unexpected|expected"):
        read_decision(Said(200, b"<html>"), read_permission)


def test_a_refusal_may_say_why() -> None:
    decision = read_decision(of_connect({"message": "no seats left"}, 403), read_identity)
    assert (decision.is_allowed, decision.is_known, decision.message) == (False, True, "no seats left")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message": 7}', b"[]"])
def test_a_refusal_need_not_say_why(body: bytes) -> None:
    decision = read_decision(Said(401, body), read_identity)
    assert (decision.is_allowed, decision.is_known, decision.message) == (False, False, "")
