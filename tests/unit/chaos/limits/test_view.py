"""How a member of a room combines snapshots and events."""

from typing import Any

import pytest

from tests.chaos.limits.view import NextStep, View


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


def test_events_are_applied_in_order(view: View) -> None:
    assert view.event(_event("joined", 11, "bob", 2)) is NextStep.CONTINUE
    assert view.event(_event("left", 12, "ada", 1)) is NextStep.CONTINUE
    assert (view.users, view.inconsistencies) == ({"bob"}, [])


def test_skipped_version_requests_a_snapshot(view: View) -> None:
    assert view.event(_event("joined", 12, "bob", 3)) is NextStep.ASK
    assert view.event(_event("joined", 13, "eve", 4)) is NextStep.ASK
    assert view.snapshot(_snapshot(13, "ada", "bob", "cyd", "eve"), is_answer=True) is NextStep.CONTINUE
    assert (len(view.users), view.inconsistencies) == (4, [])


def test_snapshot_older_than_the_last_event_is_requested_again(view: View) -> None:
    view.event(_event("joined", 13, "eve", 4))
    assert view.snapshot(_snapshot(12, "ada", "bob", "cyd"), is_answer=True) is NextStep.ASK


def test_events_contained_in_a_snapshot_are_dropped(view: View) -> None:
    view.snapshot(_snapshot(12, "ada", "bob", "cyd"), is_answer=True)
    assert view.event(_event("joined", 12, "cyd", 3)) is NextStep.CONTINUE
    assert (view.users, view.inconsistencies) == ({"ada", "bob", "cyd"}, [])


def test_count_instead_of_an_event_requests_a_snapshot(view: View) -> None:
    assert view.event({"type": "presence", "version": 11, "users_count": 1200}) is NextStep.ASK


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([_event("joined", 10, "bob", 2)], id="an event that welcome contained"),
        pytest.param([_event("joined", 11, "bob", 2), _event("joined", 11, "bob", 2)], id="an event twice"),
        pytest.param([_event("joined", 11, "bob", 3)], id="a wrong count"),
        pytest.param([_event("joined", 11, "ada", 1)], id="a present user joins"),
        pytest.param([_event("left", 11, "bob", 1)], id="an absent user leaves"),
    ],
)
def test_contradicting_events_are_inconsistencies(view: View, events: list[dict[str, Any]]) -> None:
    for event in events:
        view.event(event)
    assert view.inconsistencies
