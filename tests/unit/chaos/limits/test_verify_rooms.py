"""Each kind of violation of presence is found in a history built by hand."""

import pytest

from tests.chaos.harness.history import (
    Attempt,
    End,
    Ended,
    Fault,
    FaultKind,
    FinalView,
    Healed,
    History,
    Inconsistency,
    Left,
    PresenceList,
    Welcomed,
)
from tests.chaos.harness.lost_keys import MENDED_WITHIN
from tests.chaos.harness.violation import Kind
from tests.chaos.limits.verify import verify
from tests.chaos.limits.verify_rooms import GRACE


def _kinds(history: History) -> list[Kind]:
    return [violation.kind for violation in verify(history)]


def _of(*spans: tuple[float, float]) -> History:
    """Ada is in the room in these spans of time. They start at 100 s, so that calm time precedes them."""
    history = History()
    for session, (welcomed, ended) in enumerate(spans, 1):
        history.add(Attempt(welcomed - 0.1, session, None, "room", "n1", None, "ada"))
        history.add(Welcomed(welcomed, session, f"s{session}"))
        history.add(Ended(ended, session, End.LEFT))
    return history


# ---- after the faults


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        pytest.param((("ada", 1), ("bob", 2)), [], id="right"),
        pytest.param((("ada", 1),), [Kind.PRESENCE], id="a user is missing"),
        pytest.param((("ada", 1), ("bob", 2), ("eve", 1)), [Kind.PRESENCE], id="a user too many"),
        pytest.param((("ada", 1), ("bob", 1)), [Kind.PRESENCE], id="a tab is missing"),
    ],
)
def test_presence_list_of_a_node_has_to_equal_the_connected_users(
    listed: tuple[tuple[str, int], ...], found: list[Kind]
) -> None:
    history = History()
    history.add(PresenceList(1, "room", "n1", listed, (("ada", 1), ("bob", 2))))
    assert _kinds(history) == found


def test_member_view_that_differs_is_a_violation() -> None:
    history = History()
    history.add(FinalView(1, 1, "room", ("ada",), ("ada",)))
    history.add(FinalView(1, 2, "room", ("ada", "bob"), ("ada",)))
    assert _kinds(history) == [Kind.STALE_VIEW]


def test_inconsistency_of_a_member_is_a_violation() -> None:
    history = History()
    history.add(Inconsistency(1, 1, "room", "version 7 came after 8"))
    assert _kinds(history) == [Kind.INCONSISTENT]


@pytest.mark.parametrize(
    ("key", "at", "kinds"),
    [
        ("users:room:room", 5.0, []),
        ("in:n1:room:room", 5.0, []),
        ("users:room:room", 1.5, [Kind.INCONSISTENT]),
        ("users:room:room", 2.5 + MENDED_WITHIN, [Kind.INCONSISTENT]),
        ("users:room:other", 5.0, [Kind.INCONSISTENT]),
        ("held:agent:42", 5.0, [Kind.INCONSISTENT]),
    ],
)
def test_member_may_find_inconsistencies_while_its_room_has_lost_a_key(key: str, at: float, kinds: list[Kind]) -> None:
    history = History()
    history.add(Fault(2.0, 1, FaultKind.VANISH, f"redis tannoy:{{1}}:{key}"))
    history.add(Healed(2.0 + MENDED_WITHIN, 1))
    history.add(Inconsistency(at, 1, "room", "version 7 came after 8"))
    assert _kinds(history) == kinds


# ---- the grace


def test_leave_announced_within_the_grace_is_a_violation() -> None:
    history = _of((100, 110), (110.5, 120))
    history.add(Left(110.3, 9, "room", "ada"))
    assert _kinds(history) == [Kind.PREMATURE_LEAVE]


def test_leave_announced_after_the_grace_is_none() -> None:
    history = _of((100, 110))
    history.add(Left(110 + GRACE + 0.2, 9, "room", "ada"))
    assert _kinds(history) == []


def test_leave_announced_just_after_a_late_return_is_none() -> None:
    history = _of((100, 110), (110 + GRACE, 120))
    history.add(Left(110 + GRACE + 0.1, 9, "room", "ada"))
    assert _kinds(history) == []


def test_leave_announced_while_a_second_tab_is_open_is_a_violation() -> None:
    history = _of((100, 120), (101, 110))
    history.add(Left(115, 9, "room", "ada"))
    assert _kinds(history) == [Kind.PREMATURE_LEAVE]


def test_leave_announced_within_the_grace_after_a_fault_is_none() -> None:
    history = _of((100, 110), (110.5, 120))
    history.add(Fault(108, 1, FaultKind.KILL_NODE, "n1"))
    history.add(Healed(109, 1))
    history.add(Left(110.3, 9, "room", "ada"))
    assert _kinds(history) == []
