"""Each kind of violation is found in a history written by hand, and nothing in one where all is well."""

import itertools
from collections.abc import Sequence
from typing import Self

import pytest

from tests.chaos.harness.history import (
    Attempt,
    End,
    Ended,
    Event,
    Fault,
    FaultKind,
    Healed,
    Heard,
    History,
    LimitSet,
    NodeDied,
    Probed,
    Published,
    Roster,
    Spoke,
    Welcomed,
)
from tests.chaos.harness.violation import Kind
from tests.chaos.limits.totals import Minimum, too_little, totals_of
from tests.chaos.limits.verify import verify


class Story(History):
    """A history told in short sentences."""

    def __init__(self, *, limit: int = 1, policy: str = "evict_oldest") -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self.add(LimitSet(0.0, "a", limit, policy))

    def lives(
        self,
        welcomed: float,
        ended: float | None = None,
        end: End = End.LEFT,
        code: int | None = None,
        *,
        node: str = "n1",
        named: str | None = None,
        heard: Sequence[float] = (),
        retry_after: float | None = None,
    ) -> Self:
        """A session of agent a. `heard`: when the messages that it hears were handed in."""
        number = next(self._numbers)
        self.add(Attempt(welcomed - 0.1, number, "a", None, node, named, ""))
        self.add(Welcomed(welcomed, number, named or f"s{number}"))
        for published in heard:
            message = next(self._numbers)
            self.add(Published(published, message))
            self.add(Heard(max(published, welcomed) + 0.001, number, message))
        if ended is not None:
            self.add(Ended(ended, number, end, code, retry_after))
        return self

    def refused(self, code: int, retry_after: float | None) -> Self:
        number = next(self._numbers)
        self.add(Attempt(1.0, number, "a", None, "n1", None, ""))
        self.add(Ended(1.1, number, End.BYE, code, retry_after))
        return self

    def frozen(self, began: float, until: float, kind: FaultKind = FaultKind.FREEZE_NODE, target: str = "n1") -> Self:
        number = next(self._numbers)
        self.add(Fault(began, number, kind, target))
        self.add(Healed(until, number))
        return self

    def and_then(self, *events: Event) -> Self:
        for event in events:
            self.add(event)
        return self

    @property
    def verdict(self) -> list[Kind]:
        return [violation.kind for violation in verify(self)]


BYE, LATE = End.BYE, 4004


def test_a_clean_run_has_no_violation() -> None:
    story = Story().lives(1, 2, BYE, 4500, heard=[1.5]).lives(2.001, 3, heard=[2.5]).lives(3.2, 4, End.LOST)
    story.refused(1013, 1.5)
    story.and_then(Roster(5, "quiet", "a", "n1", (), ()), Probed(6, "a", 1, True, 0.1, None))

    assert story.verdict == []


# ---- the limit, on the wire


def test_two_at_once_where_one_may_be() -> None:
    assert Story().lives(1, 5).lives(2, 5).verdict == [Kind.LIMIT]


def test_as_many_as_the_limit_are_no_violation() -> None:
    assert Story(limit=2).lives(1, 5).lives(2, 5).verdict == []


def test_a_farewell_that_comes_behind_the_successors_welcome() -> None:
    assert Story().lives(1, 2.001, BYE, 4500).lives(2, 5).verdict == [Kind.LATE_FAREWELL]


def test_of_equal_stamps_the_end_comes_first() -> None:
    assert Story().lives(1, 2, BYE, 4500).lives(2, 5).verdict == []


def test_a_client_that_has_begun_to_leave_does_not_count() -> None:
    assert Story().lives(1, 2, End.VANISHED).lives(2.0001, 5).verdict == []


def test_a_welcome_that_came_together_with_its_bye_was_no_life() -> None:
    assert Story().lives(1, 5).lives(2, 2, BYE, 4500).verdict == []


def test_one_name_twice() -> None:
    assert Story(limit=5).lives(1, 5, named="tab").lives(2, 5, named="tab").verdict == [Kind.TWICE]


# ---- frozen nodes


def test_a_frozen_node_can_not_say_goodbye() -> None:
    assert Story().lives(1, 13.1, BYE, LATE).frozen(2, 13).lives(7, 20, node="n2").verdict == []


def test_but_its_lease_has_to_have_run_out() -> None:
    assert Story().lives(1, 13.1, BYE, LATE).frozen(2, 13).lives(3, 20, node="n2").verdict == [Kind.LIMIT]


def test_which_it_may_have_if_a_heartbeat_was_kept_away() -> None:
    story = Story().frozen(0.5, 1.9, FaultKind.STALL_LINK)
    assert story.lives(0.2, 13.1, BYE, LATE).frozen(2, 13).lives(3, 20, node="n2").verdict == []


def test_and_it_has_to_end_once_the_node_is_awake() -> None:
    assert Story().lives(1, 16, BYE, LATE).frozen(2, 13).lives(7, 20, node="n2").verdict == [Kind.LIMIT]


def test_a_frozen_node_excuses_no_other() -> None:
    assert Story().lives(1, 13.1, node="n3").frozen(2, 13).lives(7, 20, node="n2").verdict == [Kind.LIMIT]


@pytest.mark.parametrize("kind", [FaultKind.STALL_LINK, FaultKind.FREEZE_REDIS])
def test_being_cut_off_from_redis_is_no_excuse(kind: FaultKind) -> None:
    assert Story().lives(1, 13.1, BYE, LATE).frozen(2, 13, kind).lives(9, 20, node="n2").verdict == [Kind.LIMIT]


# ---- the limit, proven


def test_a_session_that_hears_something_after_its_successor_was_let_in() -> None:
    story = Story().lives(1, 13.1, BYE, LATE, heard=[1.5, 7.1]).frozen(2, 13).lives(7, 20, node="n2", heard=[7.2])
    assert set(story.verdict) == {Kind.LIMIT_PROVEN, Kind.UNFENCED}


def test_what_was_said_before_the_successor_came_proves_nothing() -> None:
    story = Story().lives(1, 4.1, BYE, LATE, heard=[3.9]).frozen(2, 4).lives(4.2, 20, node="n2", heard=[7.2])
    assert story.verdict == []


def test_one_name_served_twice() -> None:
    story = Story(limit=5).lives(1, 5, named="tab", heard=[4]).lives(2, 5, named="tab", heard=[4])
    assert story.verdict == [Kind.TWICE, Kind.TWICE_PROVEN]


# ---- fencing


def test_a_node_that_woke_up_too_late_may_deliver_nothing() -> None:
    assert Story().lives(1, 9, BYE, LATE, heard=[3]).frozen(2, 8.5).verdict == [Kind.UNFENCED]


def test_a_short_freeze_is_none() -> None:
    assert Story().lives(1, 9, heard=[3, 8]).frozen(2, 6.5).verdict == []


def test_who_came_after_the_freeze_may_hear() -> None:
    assert Story().frozen(2, 8.5).lives(8.6, 9.5, heard=[8.7]).verdict == []


# ---- manners


def test_nothing_comes_behind_bye() -> None:
    assert Story().lives(1, 2, BYE, 4500).and_then(Spoke(2.1, 1, "message after bye")).verdict == [Kind.SPOKE]


def test_a_close_frame_has_a_bye_before_it() -> None:
    assert Story().lives(1, 2, End.CLOSED, 4500).verdict == [Kind.WRONG_CODE]


def test_nobody_is_closed_for_an_internal_error() -> None:
    assert Story().lives(1, 2, BYE, 1011).verdict == [Kind.WRONG_CODE]


def test_reject_evicts_nobody() -> None:
    assert Story(policy="reject").lives(1, 2, BYE, 4500).verdict == [Kind.WRONG_CODE]


def test_unless_its_policy_was_lost_with_redis() -> None:
    story = Story(policy="reject").lives(1, 2, BYE, 4500).frozen(1.5, 1.6, FaultKind.EMPTY_REDIS, "redis")
    assert story.verdict == []


def test_a_refusal_says_when_to_come_back() -> None:
    assert Story().refused(1013, None).verdict == [Kind.BAD_REFUSAL]


# ---- when all is quiet


@pytest.mark.parametrize(
    ("listed", "connected", "found"),
    [
        pytest.param(("x", "y"), ("x", "y"), [], id="right"),
        pytest.param(("x",), (), [Kind.LEAKED], id="a place of nobody"),
        pytest.param((), ("x",), [Kind.ROSTER], id="somebody without a place"),
        pytest.param(("x", "z"), ("x", "y"), [Kind.ROSTER], id="somebody else"),
        pytest.param(("x", "x"), ("x",), [Kind.ROSTER], id="listed twice"),
    ],
)
def test_rosters(listed: tuple[str, ...], connected: tuple[str, ...], found: list[Kind]) -> None:
    assert Story().and_then(Roster(9, "quiet", "a", "n2", listed, connected)).verdict == found


@pytest.mark.parametrize(
    ("policy", "place", "admitted", "seconds", "found"),
    [
        pytest.param("reject", 2, True, 1, [], id="the last place"),
        pytest.param("reject", 2, False, 12, [Kind.NOT_ADMITTED], id="a free place that nobody gets"),
        pytest.param("reject", 2, True, 11, [Kind.NOT_ADMITTED], id="a free place that takes too long"),
        pytest.param("reject", 3, False, 1, [], id="one more is refused"),
        pytest.param("reject", 3, True, 1, [Kind.OVERFULL], id="one more gets in"),
        pytest.param("evict_oldest", 3, True, 1, [], id="one more evicts"),
        pytest.param("evict_oldest", 3, False, 1, [Kind.OVERFULL], id="one more should evict"),
    ],
)
def test_free_places(policy: str, place: int, admitted: bool, seconds: float, found: list[Kind]) -> None:
    assert Story(limit=2, policy=policy).and_then(Probed(9, "a", place, admitted, seconds, 1013)).verdict == found


def test_a_node_does_not_end_by_itself() -> None:
    assert Story().and_then(NodeDied(3, "n1", "Traceback")).verdict == [Kind.NODE_DIED]


# ---- too little


def test_a_run_in_which_hardly_anything_happened_is_rejected() -> None:
    story = Story().lives(1, 2, heard=[1.5]).frozen(1, 2)
    wanted = Minimum(connects=1, accepts=1, refusals=1, evictions=1, faults=1, kinds=5, heard_per_second=4)

    reasons = too_little(totals_of(story), wanted)

    told = [reason.partition(":")[0] for reason in reasons]
    assert told == ["refusals", "evictions", "kinds of faults", "messages heard per session and second"]


def test_a_run_in_which_enough_happened_is_not() -> None:
    story = Story().lives(1, 2, BYE, 4500, heard=[1.2, 1.4, 1.6, 1.8, 1.9]).refused(1013, 1.0)
    for kind in FaultKind:
        story.frozen(3, 4, kind)
    wanted = Minimum(connects=2, accepts=1, refusals=1, evictions=1, faults=9)

    assert too_little(totals_of(story), wanted) == []
