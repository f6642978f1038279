"""The presence of a channel, for the `presence` command and the HTTP API."""

from dataclasses import replace
from typing import cast

import orjson
import pytest
from tannoy.fanout.scripts import LEASE_LIST, PRESENCE_LIST
from tannoy.node.operations.presence import PresenceQueries, users_of
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import Limit, LimitPolicy

from tests.support.clock import on_manual_time
from tests.support.records import session_info
from tests.support.unit_node import AGENT, OWNER, ROOM, UnitNode

MS = 1_795_000_000_123
AT = "2026-11-18T11:06:40.123Z"


def queries(node: UnitNode, *, listed_max: int = 1000, page_max_bytes: int = 1_000_000) -> PresenceQueries:
    return PresenceQueries(
        node.presence, node.limits, node.page_turns, listed_max=listed_max, page_max_bytes=page_max_bytes
    )


def info(session_id: str, user_id: str, connected_at: str) -> bytes:
    return orjson.dumps(session_info(session_id, user_id, connected_at).as_object())


@on_manual_time
async def test_presence_of_a_room_lists_its_users() -> None:
    node = UnitNode()
    node.redis.reply_with(PRESENCE_LIST, [17, 1, 2, [b"ada", b"2|%d|Ada" % MS]])
    assert await queries(node).get_channel(ROOM) == {
        "version": 17,
        "users_count": 1,
        "users": [{"user_id": "ada", "username": "Ada", "connected_at": AT, "sessions": 2}],
    }


@on_manual_time
async def test_presence_of_a_room_lists_at_most_listed_max_users_and_counts_all() -> None:
    node = UnitNode()
    node.redis.reply_with(PRESENCE_LIST, [17, 3000, 4000, [b"ada", b"2|%d|Ada" % MS]])
    presence = await queries(node, listed_max=1).get_channel(ROOM)
    assert node.redis.arguments_of(PRESENCE_LIST) == [[b"1", b"0", b"lobby", b""]]
    assert presence["users_count"] == 3000


@on_manual_time
async def test_presence_of_an_agent_lists_its_sessions_and_their_users() -> None:
    node = UnitNode()
    infos = [info("s1", "ada", "T1"), info("s2", "bob", "T2"), info("s3", "ada", "T3")]
    node.redis.reply_with(LEASE_LIST, [10, b"reject", infos])
    presence = await queries(node).get_channel(AGENT)
    assert (presence["users_count"], presence["users"]) == (
        2,
        [
            {"user_id": "ada", "username": "Ada", "connected_at": "T1", "sessions": 2},
            {"user_id": "bob", "username": "Bob", "connected_at": "T2", "sessions": 1},
        ],
    )
    assert presence["sessions"] == [
        {
            "session_id": session,
            "user_id": user,
            "username": user.title(),
            "node": "n1",
            "connected_at": at,
            "agent_id": "42",
        }
        for session, user, at in (("s1", "ada", "T1"), ("s2", "bob", "T2"), ("s3", "ada", "T3"))
    ]


@on_manual_time
async def test_presence_of_an_agent_without_sessions_is_empty() -> None:
    assert await queries(UnitNode()).get_channel(AGENT) == {"users": [], "users_count": 0, "sessions": []}


@on_manual_time
async def test_list_sessions_returns_the_limit_and_the_sessions_of_an_owner() -> None:
    node = UnitNode()
    node.redis.reply_with(LEASE_LIST, [3, b"evict_oldest", [info("s1", "ada", "T1")]])
    limit, sessions = await queries(node).list_sessions(OWNER)
    assert (limit, len(sessions)) == (Limit(3, LimitPolicy.EVICT_OLDEST), 1)


@pytest.mark.parametrize("channel", [ROOM, AGENT], ids=["a room", "an agent"])
@on_manual_time
async def test_presence_that_redis_does_not_confirm_is_unavailable(channel: object) -> None:
    node = UnitNode()
    node.redis.leave_unconfirmed(PRESENCE_LIST, LEASE_LIST)
    with pytest.raises(Unavailable):
        await queries(node).get_channel(ROOM if channel is ROOM else AGENT)


def test_user_is_listed_with_the_start_of_its_first_session() -> None:
    first = session_info("s1", "ada", "T1")
    second = replace(first, session_id="s2", connected_at="T2", username="Ada II")
    assert users_of([first, second]) == [{"user_id": "ada", "username": "Ada", "connected_at": "T1", "sessions": 2}]


@on_manual_time
async def test_presence_of_a_room_that_does_not_fit_into_one_answer_is_cut_and_says_so() -> None:
    node = UnitNode()
    flat = [part for number in range(100) for part in (b"user-%02d" % number, b"1|%d|%s" % (MS + number, b"x" * 100))]
    node.redis.reply_with(PRESENCE_LIST, [17, 100, 100, flat])
    presence = await queries(node, page_max_bytes=5000).get_channel(ROOM)
    assert isinstance(presence["users"], list)
    users = cast("list[dict[str, object]]", presence["users"])
    assert 0 < len(orjson.dumps(users)) <= 5000
    assert [user["user_id"] for user in users] == [f"user-{number:02}" for number in range(len(users))]
    assert (presence["users_count"], presence["more"]) == (100, True)


@on_manual_time
async def test_presence_of_an_agent_that_does_not_fit_into_one_answer_is_cut_and_says_so() -> None:
    node = UnitNode()
    infos = [info(f"s{number}", f"user-{number}", "T1") for number in range(100)]
    node.redis.reply_with(LEASE_LIST, [10, b"reject", infos])
    presence = await queries(node, page_max_bytes=5000).get_channel(AGENT)
    assert 0 < len(orjson.dumps([presence["users"], presence["sessions"]])) <= 5010
    assert (presence["users_count"], presence["more"]) == (100, True)
