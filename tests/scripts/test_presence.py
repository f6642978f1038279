"""The presence scripts on a real Valkey: the users of a room, and the versions of the events about them."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from tannoy.shared.names import UserId

from tests.support.presence_room import SHORT, OpenRoom, PresenceRoom, sweep_until
from tests.support.valkey import Valkey

# ---- users and their sessions


async def test_first_join_of_a_user_is_announced_and_in_the_snapshot(room: PresenceRoom) -> None:
    version, users, flat = await room.join("n1", 1, "ada")
    (event,) = await room.events()
    assert (users, flat[0]) == (1, b"ada")
    assert event["users"] == [
        {"user_id": "ada", "username": "Ada", "connected_at": event["users"][0]["connected_at"], "sessions": 1}
    ]
    assert (event["type"], event["users_count"], event["version"]) == ("user_joined", 1, version)


async def test_two_sessions_of_one_user_count_as_one_user(room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada")
    await room.join("n2", 1, "ada")
    assert await room.event_summaries() == [("user_joined", "ada", 1)]
    assert (await room.counts())[1:] == (1, 2)

    await room.leave("n1", 1)
    assert (await room.counts())[1:] == (1, 1)
    assert await room.event_summaries() == []
    await room.leave("n2", 1)
    assert await room.event_summaries() == [("user_left", "ada", 0)]


async def test_repeated_join_changes_nothing(room: PresenceRoom) -> None:
    first = await room.join("n1", 1, "ada")
    assert await room.join("n1", 1, "ada") == first
    assert (await room.counts())[1:] == (1, 1)
    assert len(await room.events()) == 1


async def test_repeated_leave_changes_nothing(room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada")
    await room.join("n1", 2, "ada")
    assert [await room.leave("n1", 1) for _ in range(3)] == [1, 0, 0]
    assert (await room.counts())[1:] == (1, 1)


async def test_session_numbers_are_separate_for_each_process(room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada")
    await room.join("n2", 1, "bob")
    await room.leave("n2", 1)
    assert list(await room.users()) == ["ada"]


@pytest.mark.parametrize("username", ["a|b|c", "|", "1|2|3", "👩‍💻 é", "line\nbreak", "x" * 128])
async def test_username_of_any_characters_is_kept(room: PresenceRoom, username: str) -> None:
    await room.join("n1", 1, "ada", username)
    await room.join("n1", 2, "ada", username)
    await room.leave("n1", 1)
    assert (await room.users())["ada"].split("|", 2)[2] == username
    await room.leave("n1", 2)
    joined, left = await room.events()
    assert (joined["username"], left["username"], joined["users"][0]["username"]) == (username, username, username)


async def test_second_session_keeps_the_announced_name_and_time(room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada", "Ada")
    first = (await room.users())["ada"]
    await room.join("n1", 2, "ada", "Countess")
    assert (await room.users())["ada"] == first.replace("1|", "2|", 1)


async def test_join_by_a_process_without_a_heartbeat_is_refused(room: PresenceRoom) -> None:
    await room.expire_heartbeat("n1")
    assert await room.join("n1", 1, "ada") is None
    assert await room.join("stranger", 1, "ada") is None
    assert await room.remaining_keys() == set()


async def test_users_are_listed_up_to_inline_max(open_room: OpenRoom) -> None:
    room = await open_room(inline_max=2)
    snapshots = [await room.join("n1", number, f"u{number}") for number in range(3)]
    assert [flat is not None and len(flat) // 2 for _, _, flat in snapshots] == [1, 2, False]
    assert [len(event.get("users", "none")) for event in await room.events()] == [1, 2, len("none")]


async def test_list_is_cut_at_its_limit(room: PresenceRoom) -> None:
    for number in range(10):
        await room.join("n1", number, f"u{number}")
    assert [len(await room.users(limit)) for limit in (0, 1, 9, 10, 11)] == [0, 1, 9, 10, 10]


# ---- versions


async def test_versions_are_contiguous_and_above_the_snapshot(open_room: OpenRoom) -> None:
    room = await open_room(grace=SHORT)
    version, *_ = await room.join("n1", 0, "u0")
    for number in range(1, 20):
        await room.join("n1", number, f"u{number}")
    for number in range(10):
        await room.leave("n1", number)
    await sweep_until(room, 10)
    versions = [event["version"] for event in await room.events()]
    assert versions == list(range(version, version + 30))
    assert (await room.counts())[0] == versions[-1]


async def test_versions_keep_increasing_after_the_room_was_empty(room: PresenceRoom) -> None:
    # As fast as one connection can: a version born from a clock in ms would not keep up.
    for _ in range(50):
        answers = [room.join("n1", 1, "ada"), room.leave("n1", 1)]
        await asyncio.gather(*answers, *(room.join("n2", 1, "bob"), room.leave("n2", 1)))
    versions = [event["version"] for event in await room.events()]
    assert len(versions) >= 100
    assert versions == sorted(set(versions))


async def test_versions_keep_increasing_after_redis_lost_the_room(valkey: Valkey, room: PresenceRoom) -> None:
    version, *_ = await room.join("n1", 1, "ada")
    await valkey.run("FLUSHALL")
    await room.send_heartbeats("n1")
    again, *_ = await room.join("n1", 1, "ada")
    assert again > version


async def test_empty_room_has_a_version(room: PresenceRoom) -> None:
    before, users, sessions = await room.counts()
    assert (users, sessions) == (0, 0)
    assert (await room.join("n1", 1, "ada"))[0] > before
    await room.leave("n1", 1)
    assert await room.remaining_keys() == set()


# ---- any order


async def test_random_concurrent_joins_and_leaves_keep_events_and_snapshot_equal(open_room: OpenRoom) -> None:
    """In any order: the snapshot equals the sum of the events, and no key remains."""
    room = await open_room()
    shadow: dict[str, int] = {}
    steps: list[Awaitable[Any]] = []
    for number in range(300):
        steps.append(room.join(f"n{number % 2 + 1}", number, f"u{number * 7 % 23}"))
        if number % 3:
            steps.append(room.leave(f"n{(number - 2) % 2 + 1}", number - 2))
    await asyncio.gather(*steps)
    for event in await room.events():
        user = UserId(event["user_id"])
        shadow[user] = 1 if event["type"] == "user_joined" else 0
        assert event["users_count"] == sum(shadow.values())
    assert {user for user, there in shadow.items() if there} == set(await room.users())
    await asyncio.gather(*(room.leave(f"n{number % 2 + 1}", number) for number in range(300)))
    assert await room.remaining_keys() == set()
