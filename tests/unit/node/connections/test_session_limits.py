"""The leases that a session needs, and the disconnects that are remembered."""

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
from tests.support.unit_node import HOMES, KEYSPACE, OWNER, UnitNode

ADA = Owner(OwnerKind.USER, "ada")
CONNECTED_AT = 1_795_000_000.123


def session(endpoint: Endpoint = Endpoint.AGENT, user_id: str = "ada") -> Session:
    author = Author(UserId(user_id), "Ada", SessionId("s1"))
    return Session(endpoint, author, HOMES[endpoint], KEYSPACE)


def fail_on_lost(closing: CloseOrder) -> None:
    raise AssertionError(f"a lease was lost: {closing}")


def acquired_leases(node: UnitNode) -> list[tuple[str, str]]:
    """Return owner and name of each lease that was to be acquired."""
    return [(words[4].decode(), words[0].decode()) for words in node.redis.arguments_of(LEASE_ACQUIRE)]


# ---- which leases


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
async def test_session_is_limited_at_an_agent_or_if_users_are_limited(
    endpoint: Endpoint, user_max_sessions: int, limited: bool
) -> None:
    node = UnitNode(user_max_sessions=user_max_sessions)
    assert node.session_leases.are_limited(session(endpoint)) is limited


@pytest.mark.parametrize(
    ("endpoint", "user_max_sessions", "session_leases"),
    [
        (Endpoint.AGENT, 0, [("agent:42", "me|1|s1")]),
        (Endpoint.ROOM, 3, [("user:ada", "me|1|s1")]),
        (Endpoint.AGENT, 3, [("user:ada", "me|1|42/s1"), ("agent:42", "me|2|s1")]),
    ],
)
@on_manual_time
async def test_session_acquires_a_lease_of_its_user_and_of_its_agent(
    endpoint: Endpoint, user_max_sessions: int, session_leases: list[tuple[str, str]]
) -> None:
    node = UnitNode(user_max_sessions=user_max_sessions)
    held = await node.session_leases.acquire(session(endpoint), CONNECTED_AT, fail_on_lost)
    assert acquired_leases(node) == session_leases
    assert [lease.name for lease in held] == [name for _, name in session_leases]


@on_manual_time
async def test_lease_contains_the_description_of_the_session() -> None:
    node = UnitNode()
    await node.session_leases.acquire(session(), CONNECTED_AT, fail_on_lost)
    assert json.loads(node.redis.arguments_of(LEASE_ACQUIRE)[0][1]) == {
        "session_id": "s1",
        "user_id": "ada",
        "username": "Ada",
        "node": "n1",
        "connected_at": "2026-11-18T11:06:40.123Z",
        "agent_id": "42",
    }


@on_manual_time
async def test_first_lease_is_released_if_the_second_is_refused() -> None:
    node = UnitNode(user_max_sessions=3)
    node.redis.reply_with(LEASE_ACQUIRE, [b"held", b"17"], [b"full", 10, 10])
    with pytest.raises(LimitReached):
        await node.session_leases.acquire(session(), CONNECTED_AT, fail_on_lost)
    await turns()
    assert [words[0] for words in node.redis.arguments_of(LEASE_RELEASE)] == [b"me|1|42/s1"]


# ---- disconnects


async def remembered(
    code: CloseCode, closing: CloseOrder | None = None, who: Session | None = None
) -> list[tuple[bytes, dict[str, Any]]]:
    """Return (key, disconnect) of each disconnect that is remembered."""
    node = UnitNode()
    node.session_leases.remember(who or session(), code, closing)
    await turns()
    calls = [call for call in node.redis.calls if call.what == REMEMBER_GONE]
    return [(call.keys[0], json.loads(call.words[0])) for call in calls]


@on_manual_time
async def test_disconnect_has_time_session_reason_rule_and_node() -> None:
    node = UnitNode()
    node.session_leases.remember(session(), CloseCode.EVICTED, CloseOrder(CloseCode.EVICTED, OWNER, 10, "s2"))
    disconnect = json.loads(node.redis.arguments_of(REMEMBER_GONE)[0][0])
    assert disconnect == {
        "at": rfc3339(node.clock.now()),
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
    (CloseCode.BAD_TOKEN, None, "revocation"),
]
BY_CALLER = {DisconnectRule.RATE_LIMITED}
"""The rules that a caller names, beside a code that has others."""


@pytest.mark.parametrize(("code", "closing", "rule"), RULES, ids=str)
@on_manual_time
async def test_disconnect_has_the_rule_of_its_close_code(
    code: CloseCode, closing: CloseOrder | None, rule: str
) -> None:
    disconnects = await remembered(code, closing)
    assert {(whole["code"], whole["rule"], whole["reason"]) for _, whole in disconnects} == {
        (int(code), rule, CLOSE_RULES[code].reason)
    }


@pytest.mark.parametrize("code", sorted(set(CloseCode) - {code for code, _, _ in RULES}), ids=int)
@on_manual_time
async def test_any_other_close_code_is_not_remembered(code: CloseCode) -> None:
    assert await remembered(code) == []


def test_every_rule_is_tested() -> None:
    assert {rule for _, _, rule in RULES} == {rule.value for rule in set(DisconnectRule) - BY_CALLER}


@on_manual_time
async def test_a_rule_of_the_caller_goes_before_that_of_the_code() -> None:
    node = UnitNode()
    node.session_leases.remember(session(), CloseCode.TRY_AGAIN_LATER, None, DisconnectRule.RATE_LIMITED)
    assert {rule for _, rule, _ in node.remembered_disconnects()} == {"rate_limited"}


@pytest.mark.parametrize("code", [CloseCode.NO_PONG, CloseCode.BAD_FRAMES], ids=int)
@on_manual_time
async def test_close_code_without_a_rule_is_not_remembered_even_with_an_order(code: CloseCode) -> None:
    assert await remembered(code, CloseOrder(code, OWNER, 10)) == []


@on_manual_time
async def test_disconnect_is_remembered_for_the_agent_and_for_the_user() -> None:
    assert [key for key, _ in await remembered(CloseCode.TOO_SLOW)] == [
        KEYSPACE.disconnects(OWNER),
        KEYSPACE.disconnects(ADA),
    ]


@on_manual_time
async def test_disconnect_of_a_session_without_an_agent_is_remembered_for_its_user_alone() -> None:
    disconnects = await remembered(CloseCode.TOO_SLOW, who=session(Endpoint.ROOM))
    assert [key for key, _ in disconnects] == [KEYSPACE.disconnects(ADA)]


@pytest.mark.parametrize(("endpoint", "keys"), [(Endpoint.AGENT, [KEYSPACE.disconnects(OWNER)]), (Endpoint.ROOMS, [])])
@on_manual_time
async def test_disconnect_is_not_remembered_for_a_guest(endpoint: Endpoint, keys: list[bytes]) -> None:
    disconnects = await remembered(CloseCode.TOO_SLOW, who=session(endpoint, "guest-0a1b2c"))
    assert [key for key, _ in disconnects] == keys


@pytest.mark.parametrize(
    ("displaced_by", "fields"), [("s2", {"displaced_by": "s2"}), ("7/s2", {"displaced_by": "s2"}), ("", {}), (None, {})]
)
@on_manual_time
async def test_disconnect_has_displaced_by_if_another_session_got_the_lease(
    displaced_by: str | None, fields: dict[str, str]
) -> None:
    (_, whole), *_ = await remembered(CloseCode.EVICTED, CloseOrder(CloseCode.EVICTED, ADA, 10, displaced_by))
    assert {name: value for name, value in whole.items() if name == "displaced_by"} == fields
