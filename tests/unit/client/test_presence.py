"""Who is in a room, kept current by events and their versions."""

from tannoy.client.catch_up import Frame
from tannoy.client.presence import COMPLETE_MAX, QUEUED_MAX, Presence


def user(user_id: str) -> Frame:
    return {"user_id": user_id, "username": user_id.title(), "connected_at": "t", "sessions": 1}


def snapshot(version: int, *user_ids: str) -> Frame:
    return {"users_count": len(user_ids), "version": version, "users": [user(each) for each in user_ids]}


def joined(version: int, user_id: str, count: int) -> Frame:
    return {"type": "user_joined", **user(user_id), "users_count": count, "version": version}


def left(version: int, user_id: str, count: int) -> Frame:
    return {"type": "user_left", **user(user_id), "users_count": count, "version": version}


def counted(version: int, count: int) -> Frame:
    return {"type": "presence", "users_count": count, "version": version}


def present(*user_ids: str) -> Presence:
    """As of version 5."""
    presence = Presence()
    presence.apply_snapshot(snapshot(5, *user_ids))
    return presence


def test_a_user_who_joins_is_present() -> None:
    presence = present("ada")
    assert presence.apply_change(joined(6, "bob", 2))
    assert (presence.count, sorted(presence.users)) == (2, ["ada", "bob"])


def test_a_user_who_leaves_is_not_present_any_more() -> None:
    presence = present("ada", "bob")
    presence.apply_change(left(6, "bob", 1))
    assert (presence.count, sorted(presence.users)) == (1, ["ada"])


def test_a_change_that_the_snapshot_contains_is_not_applied() -> None:
    presence = present("ada")
    assert not presence.apply_change(joined(5, "bob", 2))
    assert sorted(presence.users) == ["ada"]


def test_the_users_of_a_change_replace_those_that_were_known() -> None:
    presence = present("ada", "gone")
    presence.apply_change(joined(6, "bob", 2) | {"users": [user("ada"), user("bob")]})
    assert sorted(presence.users) == ["ada", "bob"]


def test_a_version_that_is_skipped_asks_for_a_snapshot() -> None:
    presence = present("ada")
    presence.apply_change(joined(6, "bob", 2))
    assert not presence.has_missed
    presence.apply_change(joined(8, "eve", 4))
    assert presence.has_missed


def test_a_count_in_a_small_room_asks_for_a_snapshot() -> None:
    presence = present("ada")
    presence.apply_change(counted(6, 1))
    assert presence.has_missed


def test_a_count_in_a_large_room_is_all_there_is() -> None:
    presence = present("ada")
    presence.apply_change(counted(40, COMPLETE_MAX + 1))
    assert (presence.count, presence.users, presence.has_missed) == (COMPLETE_MAX + 1, {}, False)


def test_a_change_that_came_while_a_snapshot_was_requested_is_applied_behind_it() -> None:
    presence = present("ada")
    presence.begin_request()
    presence.apply_change(joined(8, "eve", 3))
    presence.apply_snapshot(snapshot(7, "ada", "bob"))
    assert (sorted(presence.users), presence.has_missed) == (["ada", "bob", "eve"], False)


def test_a_change_that_is_missing_behind_the_snapshot_asks_for_another_one() -> None:
    presence = present("ada")
    presence.begin_request()
    presence.apply_change(joined(9, "eve", 4))
    presence.apply_snapshot(snapshot(7, "ada", "bob"))
    assert presence.has_missed


def test_more_changes_than_are_kept_during_a_request_ask_for_another_snapshot() -> None:
    presence = present()
    presence.begin_request()
    for version in range(6, 6 + QUEUED_MAX + 1):
        presence.apply_change(joined(version, f"u{version}", version))
    presence.apply_snapshot(snapshot(5))
    presence.apply_change(joined(6 + QUEUED_MAX + 1, "last", 9))
    assert presence.has_missed


def test_changes_before_the_next_snapshot_are_ignored_after_a_reset() -> None:
    presence = present("ada")
    presence.reset()
    assert not presence.apply_change(joined(6, "bob", 2))
