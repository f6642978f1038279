"""The body of `POST /revocations`: exactly one thing to revoke, and until when."""

import pytest
from tannoy.node.web.revocations import AHEAD_MAX_SECONDS, parse_target, parse_until
from tannoy.shared.errors import BadName, BadRequest
from tannoy.shared.protocol.frames import Object
from tannoy.shared.revocations import RevocationKind

NOW = 1_795_000_000.0
"""2026-11-18T11:06:40Z."""


@pytest.mark.parametrize(
    ("fields", "kind", "value"),
    [
        ({"user_id": "auth0|7"}, RevocationKind.USER, "auth0|7"),
        ({"user_id": 7}, RevocationKind.USER, "7"),
        ({"agent_id": "42", "until": 1}, RevocationKind.AGENT, "42"),
        ({"jti": "any text"}, RevocationKind.TOKEN, "any text"),
    ],
)
def test_one_thing_is_revoked(fields: Object, kind: RevocationKind, value: str) -> None:
    assert parse_target(fields) == (kind, value)


@pytest.mark.parametrize("fields", [{}, {"until": 1}, {"user_id": "a", "jti": "b"}, {"user_id": "a", "agent_id": None}])
def test_none_or_several_are_refused(fields: Object) -> None:
    with pytest.raises(BadRequest, match="exactly one of these fields has to be there: jti user_id agent_id"):
        parse_target(fields)


@pytest.mark.parametrize("fields", [{"user_id": "a b"}, {"agent_id": None}, {"jti": ""}, {"jti": 7}], ids=str)
def test_a_bad_name_is_refused(fields: Object) -> None:
    with pytest.raises(BadName):
        parse_target(fields)


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        (1_795_000_001, 1_795_000_001),
        (1_795_000_000.25, 1_795_000_001),
        ("2026-11-18T11:06:41Z", 1_795_000_001),
        ("2026-11-18t11:06:41.000000001z", 1_795_000_001),
        ("2026-11-18T11:06:40.25Z", 1_795_000_001),
        ("2026-11-18T12:06:41+01:00", 1_795_000_001),
        (NOW + AHEAD_MAX_SECONDS, 1_795_000_000 + AHEAD_MAX_SECONDS),
    ],
)
def test_an_end_is_read_as_whole_seconds_rounded_up(until: object, seconds: int) -> None:
    assert parse_until(until, NOW) == seconds


@pytest.mark.parametrize("until", [NOW, 0, -1, NOW + AHEAD_MAX_SECONDS + 1, 2**64, "2026-11-18T11:06:40Z"])
def test_an_end_in_the_past_or_too_far_ahead_is_refused(until: object) -> None:
    with pytest.raises(BadRequest, match="until has to lie in the future, and at most 315576000 s"):
        parse_until(until, NOW)


ODD: list[object] = [
    *(None, True, [], "", "1895000000", "2026-11-18", "2026-11-18T11:06", "2026-11-18T11:06:41", "20261118T110641Z"),
    *("2026-13-18T11:06:41Z", "2026-11-18T11:06:41+25:00"),
]


@pytest.mark.parametrize("until", ODD, ids=str)
def test_what_is_no_time_is_refused(until: object) -> None:
    with pytest.raises(BadRequest, match="until has to be a time: RFC 3339, or a number of Unix seconds"):
        parse_until(until, NOW)
