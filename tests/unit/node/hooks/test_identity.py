"""What `authenticate` may return."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tannoy import Identity
from tannoy.node.auth.claims import ALL_NAMES, DEFAULT_PERMISSIONS, NO_NAMES, Permission


def test_an_identity_of_a_user_alone_allows_what_a_token_without_other_claims_does() -> None:
    claims = Identity("ada").claims

    assert (claims.user_id, claims.username, claims.expires_at, claims.token_id) == ("ada", "ada", None, None)
    assert (claims.rooms, claims.agents, claims.can) == (ALL_NAMES, NO_NAMES, DEFAULT_PERMISSIONS)


def test_the_arguments_are_the_claims() -> None:
    identity = Identity(7, "Ada L.", rooms=["team.*"], agents={"42"}, can=["history"], expires_at=1e9, data=object())

    claims = identity.claims
    assert (claims.user_id, claims.username, claims.expires_at) == ("7", "Ada L.", 1e9)
    assert (claims.rooms.match("team.a"), claims.rooms.match("lobby")) == (True, False)
    assert (claims.agents.match("42"), claims.can) == (True, frozenset({Permission.HISTORY}))


def test_a_time_with_its_zone_is_unix_seconds() -> None:
    assert Identity("ada", expires_at=datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)).claims.expires_at == 1e9


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"user_id": "a b"}, "user_id 'a b' must not contain ' '"),
        ({"user_id": None}, "user_id has to be a string"),
        ({"user_id": True}, "user_id has to be a string"),
        ({"user_id": "ada", "username": "\n"}, "username has to be printable text"),
        ({"user_id": "ada", "rooms": "lobby"}, "rooms has to be a list of at most 1000 names"),
        ({"user_id": "ada", "rooms": ["x"] * 1001}, "rooms has to be a list of at most 1000 names"),
        ({"user_id": "ada", "agents": ["*x"]}, r"agents: '\*x' is no name"),
        ({"user_id": "ada", "agents": [""]}, "agents: '' is no name"),
        ({"user_id": "ada", "rooms": [7]}, "rooms: 7 is no name"),
        (
            {"user_id": "ada", "can": ["fly"]},
            "can has to be a list out of publish, private, presence, history, observe",
        ),
        ({"user_id": "ada", "can": "publish"}, "can has to be a list"),
        ({"user_id": "ada", "expires_at": -1}, "expires_at has to be 0 to 253402300799"),
        ({"user_id": "ada", "expires_at": float("nan")}, "expires_at has to be 0 to"),
        ({"user_id": "ada", "expires_at": datetime(2026, 1, 1)}, "expires_at has to have a time zone"),
    ],
)
def test_what_is_not_allowed_is_a_value_error_that_says_what_is(arguments: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Identity(**arguments)


def test_the_application_s_own_data_is_not_shown() -> None:
    assert "hunter2" not in repr(Identity("ada", data="hunter2"))
