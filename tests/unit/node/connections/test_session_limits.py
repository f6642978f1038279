"""The places that a session needs, and what is remembered of those that lost or never got one."""

import json
from typing import Any

import pytest
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE, REMEMBER_GONE
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.clock import rfc3339
from tannoy.shared.codes import CLOSE_RULES, CloseCode, DisconnectRule
from tannoy.shared.errors import LimitReached
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.protocol.frames import Author
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import on_manual_time, turns
from tests.support.desk import HOMES, KEYSPACE, OWNER, House

ADA = Owner(OwnerKind.USER, "ada")
CONNECTED_AT = 1_795_000_000.123


def session(endpoint: Endpoint = Endpoint.AGENT, user_id: str = "ada") -> Session:
    author = Author(UserId(user_id), "Ada", SessionId("s1"))
    return Session(endpoint, author, HOMES[endpoint], KEYSPACE)


def unconcerned(closing: CloseOrder) -> None:
    raise AssertionError(f"no place was to be lost: {closing}")


def asked_for(house: House) -> list[tuple[str, str]]:
    """Owner and lease of each place that was asked for."""
    return [(words[4].decode(), words[0].decode()) for words in house.redis.arguments_of(LEASE_ACQUIRE)]


# ---- which places


@pytest.mark.parametrize(
    ("endpoint", "user_max_sessions", "limited"),
    [
        (Endpoint.ROOMS, 0, False),
        (Endpoint.ROOM, 0, False),
        (Endpoint.AGENT, 0, True),
        (Endpoint.ROOMS, 3, True),
        (Endpoint.ROOM, 3, True),
        (Endpoint.AGENT, 3, True),
    ],
)
@on_manual_time
async def test_sessions_of_agents_are_limited_and_all_others_where_users_are(
    endpoint: Endpoint, user_max_sessions: int, limited: bool
) -> None:
    house = House(user_max_sessions=user_max_sessions)
    assert house.session_leases.are_limited(session(endpoint)) is limited


@pytest.mark.parametrize(
    ("endpoint", "user_max_sessions", "session_leases"),
    [
        (Endpoint.AGENT, 0, [("agent:42", "me|1|s1")]),
        (Endpoint.ROOM, 3, [("user:ada", "me|1|s1")]),
        (Endpoint.AGENT, 3, [("user:ada", "me|1|42/s1"), ("agent:42", "me|2|s1")]),
    ],
)
@on_manual_time
async def test_a_session_takes_a_place_of_its_user_and_of_its_agent(
    endpoint: Endpoint, user_max_sessions: int, session_leases: list[tuple[str, str]]
) -> None:
    house = House(user_max_sessions=user_max_sessions)
    held = await house.session_leases.acquire(session(endpoint), CONNECTED_AT, unconcerned)
    assert asked_for(house) == session_leases
    assert [lease.name for lease in held] == [name for _, name in session_leases]


@on_manual_time
async def test_with_its_place_goes_what_people_want_to_know_of_a_session() -> None:
    house = House()
    await house.session_leases.acquire(session(), CONNECTED_AT, unconcerned)
    assert json.loads(house.redis.arguments_of(LEASE_ACQUIRE)[0][1]) == {
        "session_id": "s1",
        "user_id": "ada",
        "username": "Ada",
        "node": "n1",
        "connected_at": "2026-11-18T11:06:40.123Z",
        "agent_id": "42",
    }


@on_manual_time
async def test_where_the_second_place_is_not_to_be_had_the_first_is_given_back() -> None:
    house = House(user_max_sessions=3)
    house.redis.reply_with(LEASE_ACQUIRE, [b"held", b"17"], [b"full", 10, 10])
    with pytest.raises(LimitReached):
        await house.session_leases.acquire(session(), CONNECTED_AT, unconcerned)
    assert [words[0] for words in house.redis.arguments_of(LEASE_RELEASE)] == [b"me|1|42/s1"]


# ---- what is remembered


async def remembered(
    code: CloseCode, closing: CloseOrder | None = None, who: Session | None = None
) -> list[tuple[bytes, dict[str, Any]]]:
    """(key, departure) of all that is remembered."""
    house = House()
    house.session_leases.remember(who or session(), code, closing)
    await turns()
    calls = [call for call in house.redis.calls if call.what == REMEMBER_GONE]
    return [(call.keys[0], json.loads(call.words[0])) for call in calls]


@on_manual_time
async def test_a_departure_tells_when_who_why_and_where() -> None:
    house = House()
    house.session_leases.remember(session(), CloseCode.EVICTED, CloseOrder(CloseCode.EVICTED, OWNER, 10, "s2"))
    departure = json.loads(house.redis.arguments_of(REMEMBER_GONE)[0][0])
    assert departure == {
        "at": rfc3339(house.clock.now()),
        "session_id": "s1",
        "code": 4500,
        "reason": "evicted: a newer session took the place",
        "rule": "agent_max_sessions",
        "count": 10,
        "node": "n1",
        "displaced_by": "s2",
    }


RULES: list[tuple[CloseCode, CloseOrder | None, str]] = [
    (CloseCode.TRY_AGAIN_LATER, None, "bus"),
    (CloseCode.TRY_AGAIN_LATER, CloseOrder(CloseCode.TRY_AGAIN_LATER, OWNER, 10), "agent_max_sessions"),
    (CloseCode.TRY_AGAIN_LATER, CloseOrder(CloseCode.TRY_AGAIN_LATER, ADA, 10), "user_max_sessions"),
    (CloseCode.EVICTED, CloseOrder(CloseCode.EVICTED, OWNER, 10, "s2"), "agent_max_sessions"),
    (CloseCode.EVICTED, CloseOrder(CloseCode.EVICTED, ADA, 10, "s2"), "user_max_sessions"),
    (CloseCode.REPLACED, CloseOrder(CloseCode.REPLACED, OWNER, 10, "s1"), "same_session"),
    (CloseCode.REPLACED, CloseOrder(CloseCode.REPLACED, ADA, 10, "s1"), "same_session"),
    (CloseCode.LEASE_LOST, CloseOrder(CloseCode.LEASE_LOST, OWNER), "lease"),
    (CloseCode.TOO_SLOW, None, "outbox_max_bytes"),
    (CloseCode.DISCONNECTED, None, "operator"),
]


@pytest.mark.parametrize(("code", "closing", "rule"), RULES, ids=str)
@on_manual_time
async def test_each_code_names_the_rule_that_decided(code: CloseCode, closing: CloseOrder | None, rule: str) -> None:
    disconnects = await remembered(code, closing)
    assert {(whole["code"], whole["rule"], whole["reason"]) for _, whole in disconnects} == {
        (int(code), rule, CLOSE_RULES[code].reason)
    }


@pytest.mark.parametrize("code", sorted(set(CloseCode) - {code for code, _, _ in RULES}), ids=int)
@on_manual_time
async def test_any_other_end_is_the_clients_own_or_everybodys_and_not_remembered(code: CloseCode) -> None:
    assert await remembered(code) == []


def test_every_rule_may_decide() -> None:
    assert {rule for _, _, rule in RULES} == {rule.value for rule in DisconnectRule}


@pytest.mark.parametrize("code", [CloseCode.NO_PONG, CloseCode.BAD_FRAMES], ids=int)
@on_manual_time
async def test_what_a_client_has_brought_on_itself_is_not_remembered_whatever_is_told_of_it(code: CloseCode) -> None:
    assert await remembered(code, CloseOrder(code, OWNER, 10)) == []


@on_manual_time
async def test_a_departure_is_remembered_with_the_agent_and_with_the_user() -> None:
    assert [key for key, _ in await remembered(CloseCode.TOO_SLOW)] == [
        KEYSPACE.disconnects(OWNER),
        KEYSPACE.disconnects(ADA),
    ]


@on_manual_time
async def test_whoever_is_no_agents_session_is_remembered_with_its_user_alone() -> None:
    disconnects = await remembered(CloseCode.TOO_SLOW, who=session(Endpoint.ROOM))
    assert [key for key, _ in disconnects] == [KEYSPACE.disconnects(ADA)]


@pytest.mark.parametrize(("endpoint", "keys"), [(Endpoint.AGENT, [KEYSPACE.disconnects(OWNER)]), (Endpoint.ROOMS, [])])
@on_manual_time
async def test_nothing_is_remembered_with_a_guest(endpoint: Endpoint, keys: list[bytes]) -> None:
    disconnects = await remembered(CloseCode.TOO_SLOW, who=session(endpoint, "guest-0a1b2c"))
    assert [key for key, _ in disconnects] == keys


@pytest.mark.parametrize(
    ("displaced_by", "told"), [("s2", {"displaced_by": "s2"}), ("7/s2", {"displaced_by": "s2"}), ("", {}), (None, {})]
)
@on_manual_time
async def test_a_departure_names_the_session_that_took_the_place_if_one_did(
    displaced_by: str | None, told: dict[str, str]
) -> None:
    (_, whole), *_ = await remembered(CloseCode.EVICTED, CloseOrder(CloseCode.EVICTED, ADA, 10, displaced_by))
    assert {name: value for name, value in whole.items() if name == "displaced_by"} == told
