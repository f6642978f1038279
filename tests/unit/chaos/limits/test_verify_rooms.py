"""What the checker finds wrong with presence, and how a member of a room puts together what it is told."""

from typing import Any

import pytest

from tests.chaos.harness.history import (
    Attempt,
    Complaint,
    End,
    Ended,
    Fault,
    FaultKind,
    Healed,
    History,
    Left,
    RollCall,
    Viewed,
    Welcomed,
)
from tests.chaos.harness.violation import Kind
from tests.chaos.limits.verify import verify
from tests.chaos.limits.verify_rooms import GRACE
from tests.chaos.limits.view import Then, View


def _kinds(history: History) -> list[Kind]:
    return [violation.kind for violation in verify(history)]


def _of(*spans: tuple[float, float]) -> History:
    """Ada is in the room in these spans of time; it began at 100 s, so that there is some calm before."""
    history = History()
    for session, (welcomed, ended) in enumerate(spans, 1):
        history.add(Attempt(welcomed - 0.1, session, None, "room", "n1", None, "ada"))
        history.add(Welcomed(welcomed, session, f"s{session}"))
        history.add(Ended(ended, session, End.LEFT))
    return history


# ---- when all is quiet


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        pytest.param((("ada", 1), ("bob", 2)), [], id="right"),
        pytest.param((("ada", 1),), [Kind.PRESENCE], id="somebody is missing"),
        pytest.param((("ada", 1), ("bob", 2), ("eve", 1)), [Kind.PRESENCE], id="a ghost"),
        pytest.param((("ada", 1), ("bob", 1)), [Kind.PRESENCE], id="a tab is missing"),
    ],
)
def test_roll_calls(listed: tuple[tuple[str, int], ...], found: list[Kind]) -> None:
    history = History()
    history.add(RollCall(1, "room", "n1", listed, (("ada", 1), ("bob", 2))))
    assert _kinds(history) == found


def test_a_member_that_sees_something_else() -> None:
    history = History()
    history.add(Viewed(1, 1, "room", ("ada",), ("ada",)))
    history.add(Viewed(1, 2, "room", ("ada", "bob"), ("ada",)))
    assert _kinds(history) == [Kind.STALE_VIEW]


def test_complaints_of_members() -> None:
    history = History()
    history.add(Complaint(1, 1, "room", "version 7 came behind 8"))
    assert _kinds(history) == [Kind.COMPLAINT]


# ---- the grace


def test_who_comes_back_in_time_is_not_shown_as_gone() -> None:
    history = _of((100, 110), (110.5, 120))
    history.add(Left(110.3, 9, "room", "ada"))
    assert _kinds(history) == [Kind.FLAP]


def test_who_stays_away_is() -> None:
    history = _of((100, 110))
    history.add(Left(110 + GRACE + 0.2, 9, "room", "ada"))
    assert _kinds(history) == []


def test_who_comes_back_when_the_leave_is_on_its_way_was_gone() -> None:
    history = _of((100, 110), (110 + GRACE, 120))
    history.add(Left(110 + GRACE + 0.1, 9, "room", "ada"))
    assert _kinds(history) == []


def test_a_second_tab_keeps_a_user_in_the_room() -> None:
    history = _of((100, 120), (101, 110))
    history.add(Left(115, 9, "room", "ada"))
    assert _kinds(history) == [Kind.FLAP]


def test_after_a_fault_a_leave_may_be_shown() -> None:
    history = _of((100, 110), (110.5, 120))
    history.add(Fault(108, 1, FaultKind.KILL_NODE, "n1"))
    history.add(Healed(109, 1))
    history.add(Left(110.3, 9, "room", "ada"))
    assert _kinds(history) == []


# ---- a member's view


def _users(*names: str) -> list[dict[str, Any]]:
    return [{"user_id": name} for name in names]


def _snapshot(version: int, *names: str) -> dict[str, Any]:
    return {"type": "welcome", "version": version, "users": _users(*names), "users_count": len(names)}


def _event(kind: str, version: int, user: str, count: int) -> dict[str, Any]:
    return {"type": f"user_{kind}", "version": version, "user_id": user, "users_count": count}


@pytest.fixture
def view() -> View:
    view = View()
    view.snapshot(_snapshot(10, "ada"), is_answer=False)
    return view


def test_events_are_added_up(view: View) -> None:
    assert view.event(_event("joined", 11, "bob", 2)) is Then.GO_ON
    assert view.event(_event("left", 12, "ada", 1)) is Then.GO_ON
    assert (view.users, view.complaints) == ({"bob"}, [])


def test_a_version_that_is_left_out_means_ask(view: View) -> None:
    assert view.event(_event("joined", 12, "bob", 3)) is Then.ASK
    assert view.event(_event("joined", 13, "eve", 4)) is Then.ASK
    assert view.snapshot(_snapshot(13, "ada", "bob", "cyd", "eve"), is_answer=True) is Then.GO_ON
    assert (len(view.users), view.complaints) == (4, [])


def test_an_answer_from_before_the_last_event_is_asked_for_again(view: View) -> None:
    view.event(_event("joined", 13, "eve", 4))
    assert view.snapshot(_snapshot(12, "ada", "bob", "cyd"), is_answer=True) is Then.ASK


def test_events_that_an_answer_held_already_are_dropped(view: View) -> None:
    view.snapshot(_snapshot(12, "ada", "bob", "cyd"), is_answer=True)
    assert view.event(_event("joined", 12, "cyd", 3)) is Then.GO_ON
    assert (view.users, view.complaints) == ({"ada", "bob", "cyd"}, [])


def test_counts_instead_of_events_mean_ask(view: View) -> None:
    assert view.event({"type": "presence", "version": 11, "users_count": 1200}) is Then.ASK


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([_event("joined", 10, "bob", 2)], id="an event that the welcome held"),
        pytest.param([_event("joined", 11, "bob", 2), _event("joined", 11, "bob", 2)], id="an event twice"),
        pytest.param([_event("joined", 11, "bob", 3)], id="a wrong count"),
        pytest.param([_event("joined", 11, "ada", 1)], id="somebody who is there joins"),
        pytest.param([_event("left", 11, "bob", 1)], id="somebody who is not there leaves"),
    ],
)
def test_what_does_not_fit_together_is_complained_of(view: View, events: list[dict[str, Any]]) -> None:
    for event in events:
        view.event(event)
    assert view.complaints
