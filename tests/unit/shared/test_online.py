"""Who is online: the lists of all nodes as one page."""

import itertools

import pytest
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.online import OnlineUser, OnlineUsers, merge_pages


def user(user_id: str, sessions: int = 1, connected_at: str = "2026-11-18T11:06:40.123Z") -> OnlineUser:
    return OnlineUser(user_id, f"{user_id} of {connected_at[11:13]}", connected_at, sessions)


def page_of(ids: str, after: str, limit: int) -> OnlineUsers:
    """The page of a node that has these users."""
    listed = [user(each) for each in sorted(ids) if each > after]
    return OnlineUsers(tuple(listed[:limit]), len(listed) > limit)


def test_a_user_on_two_nodes_is_one_user_described_by_the_first_session() -> None:
    later = user("ada", 2, "2026-11-18T12:00:00.000Z")
    merged = merge_pages([OnlineUsers((later,), False), OnlineUsers((user("ada", 3),), False)], 10)
    assert merged == OnlineUsers((user("ada", 5),), False)


@pytest.mark.parametrize("limit", range(1, 8))
def test_pages_of_any_size_list_each_user_once_with_all_sessions(limit: int) -> None:
    nodes = ["abcdef", "bd", "aaeg", ""]
    everybody, after = list[OnlineUser](), ""
    for _ in itertools.count():
        page = merge_pages([page_of(ids, after, limit) for ids in ("abcdef", "bd", "aeg", "")], limit)
        everybody += page.users
        if not page.more:
            break
        assert len(page.users) == limit
        after = page.users[-1].user_id
    assert {each.user_id: each.sessions for each in everybody} == {
        each: sum(each in ids for ids in nodes) for each in "abcdefg"
    }
    assert len(everybody) == 7


@pytest.mark.parametrize("parts", [[], ["ada", "Ada", 1, 2], ["ada", "Ada", "2026", "2"], None])
def test_what_describes_no_user_is_malformed(parts: object) -> None:
    with pytest.raises(MalformedBytes):
        OnlineUser.parse(parts)
