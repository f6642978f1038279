"""Who is in a channel, as `presence` and the API tell it."""

from dataclasses import replace

import orjson
import pytest
from tannoy.fanout.scripts import LEASE_LIST, PRESENCE_LIST
from tannoy.node.operations.presence import PresenceQueries, users_of
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import Limit, LimitPolicy

from tests.support.clock import on_manual_time
from tests.support.desk import AGENT, OWNER, ROOM, House
from tests.support.records import session_info

MS = 1_795_000_000_123
AT = "2026-11-18T11:06:40.123Z"


def of(house: House, *, listed_max: int = 1000) -> PresenceQueries:
    return PresenceQueries(house.presence, house.limits, listed_max=listed_max)


def info(session_id: str, user_id: str, connected_at: str) -> bytes:
    return orjson.dumps(session_info(session_id, user_id, connected_at).as_object())


@on_manual_time
async def test_a_room_tells_its_users() -> None:
    house = House()
    house.redis.reply_with(PRESENCE_LIST, [17, 1, 2, [b"ada", b"2|%d|Ada" % MS]])
    assert await of(house).get_channel(ROOM) == {
        "version": 17,
        "users_count": 1,
        "users": [{"user_id": "ada", "username": "Ada", "connected_at": AT, "sessions": 2}],
    }


@on_manual_time
async def test_a_room_names_no_more_users_than_it_may_and_counts_them_all() -> None:
    house = House()
    house.redis.reply_with(PRESENCE_LIST, [17, 3000, 4000, [b"ada", b"2|%d|Ada" % MS]])
    told = await of(house, listed_max=1).get_channel(ROOM)
    assert house.redis.arguments_of(PRESENCE_LIST) == [[b"lobby", b"1"]]
    assert told["users_count"] == 3000


@on_manual_time
async def test_an_agent_tells_its_sessions_and_whose_they_are() -> None:
    house = House()
    infos = [info("s1", "ada", "T1"), info("s2", "bob", "T2"), info("s3", "ada", "T3")]
    house.redis.reply_with(LEASE_LIST, [10, b"reject", infos])
    told = await of(house).get_channel(AGENT)
    assert (told["users_count"], told["users"]) == (
        2,
        [
            {"user_id": "ada", "username": "Ada", "connected_at": "T1", "sessions": 2},
            {"user_id": "bob", "username": "Bob", "connected_at": "T2", "sessions": 1},
        ],
    )
    assert told["sessions"] == [
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
async def test_an_agent_without_sessions_has_no_users() -> None:
    assert await of(House()).get_channel(AGENT) == {"users": [], "users_count": 0, "sessions": []}


@on_manual_time
async def test_the_sessions_of_an_owner_are_told_with_its_limit() -> None:
    house = House()
    house.redis.reply_with(LEASE_LIST, [3, b"evict_oldest", [info("s1", "ada", "T1")]])
    limit, sessions = await of(house).list_sessions(OWNER)
    assert (limit, len(sessions)) == (Limit(3, LimitPolicy.EVICT_OLDEST), 1)


@pytest.mark.parametrize("channel", [ROOM, AGENT], ids=["a room", "an agent"])
@on_manual_time
async def test_what_redis_does_not_tell_is_unavailable(channel: object) -> None:
    house = House()
    house.redis.leave_unconfirmed(PRESENCE_LIST, LEASE_LIST)
    with pytest.raises(Unavailable):
        await of(house).get_channel(ROOM if channel is ROOM else AGENT)


def test_of_a_users_sessions_the_first_tells_since_when() -> None:
    first = session_info("s1", "ada", "T1")
    second = replace(first, session_id="s2", connected_at="T2", username="Ada II")
    assert users_of([first, second]) == [{"user_id": "ada", "username": "Ada", "connected_at": "T1", "sessions": 2}]
