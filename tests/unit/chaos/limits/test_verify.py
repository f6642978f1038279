"""Each kind of violation of limits is found in a history built by hand; a clean history has none."""

import pytest

from tests.chaos.harness.history import (
    End,
    FaultKind,
    NodeDied,
    PlaceProbe,
    SessionList,
    UnexpectedFrame,
)
from tests.chaos.harness.violation import Kind
from tests.unit.chaos.limits.history_builder import HistoryBuilder

BYE, LATE = End.BYE, 4004


def test_clean_run_has_no_violation() -> None:
    history = (
        HistoryBuilder()
        .session(1, 2, BYE, 4500, received=[1.5])
        .session(2.001, 3, received=[2.5])
        .session(3.2, 4, End.LOST)
    )
    history.refusal(1013, 1.5)
    history.with_events(SessionList(5, "after the faults", "a", "n1", (), ()), PlaceProbe(6, "a", 1, True, 0.1, None))

    assert history.verdict == []


# ---- the limit, on the wire


def test_two_sessions_under_a_limit_of_one_violate_it() -> None:
    assert HistoryBuilder().session(1, 5).session(2, 5).verdict == [Kind.LIMIT]


def test_as_many_sessions_as_the_limit_are_allowed() -> None:
    assert HistoryBuilder(limit=2).session(1, 5).session(2, 5).verdict == []


def test_bye_after_the_welcome_of_the_successor_is_late() -> None:
    assert HistoryBuilder().session(1, 2.001, BYE, 4500).session(2, 5).verdict == [Kind.LATE_BYE]


def test_end_with_the_stamp_of_a_welcome_sorts_before_it() -> None:
    assert HistoryBuilder().session(1, 2, BYE, 4500).session(2, 5).verdict == []


def test_session_that_its_client_has_ended_does_not_count() -> None:
    assert HistoryBuilder().session(1, 2, End.DISCONNECTED).session(2.0001, 5).verdict == []


def test_session_with_welcome_and_bye_at_one_time_does_not_count() -> None:
    assert HistoryBuilder().session(1, 5).session(2, 2, BYE, 4500).verdict == []


def test_two_sessions_with_one_name_are_a_violation() -> None:
    assert HistoryBuilder(limit=5).session(1, 5, named="tab").session(2, 5, named="tab").verdict == [
        Kind.DUPLICATE_NAME
    ]


# ---- frozen nodes


def test_session_on_a_frozen_node_does_not_count_after_its_lease() -> None:
    assert HistoryBuilder().session(1, 13.1, BYE, LATE).fault(2, 13).session(7, 20, node="n2").verdict == []


def test_session_on_a_frozen_node_counts_during_its_lease() -> None:
    assert HistoryBuilder().session(1, 13.1, BYE, LATE).fault(2, 13).session(3, 20, node="n2").verdict == [Kind.LIMIT]


def test_session_on_a_frozen_node_does_not_count_at_once_if_heartbeats_were_lost() -> None:
    history = HistoryBuilder().fault(0.5, 1.9, FaultKind.STALL_LINK)
    assert history.session(0.2, 13.1, BYE, LATE).fault(2, 13).session(3, 20, node="n2").verdict == []


def test_session_on_a_frozen_node_counts_if_it_outlives_the_freeze() -> None:
    assert HistoryBuilder().session(1, 16, BYE, LATE).fault(2, 13).session(7, 20, node="n2").verdict == [Kind.LIMIT]


def test_session_on_another_node_than_the_frozen_one_counts() -> None:
    assert HistoryBuilder().session(1, 13.1, node="n3").fault(2, 13).session(7, 20, node="n2").verdict == [Kind.LIMIT]


@pytest.mark.parametrize("kind", [FaultKind.STALL_LINK, FaultKind.FREEZE_REDIS])
def test_session_on_a_node_without_redis_counts(kind: FaultKind) -> None:
    assert HistoryBuilder().session(1, 13.1, BYE, LATE).fault(2, 13, kind).session(9, 20, node="n2").verdict == [
        Kind.LIMIT
    ]


# ---- the limit, proven


def test_session_that_receives_messages_after_its_successor_proves_a_violation() -> None:
    history = (
        HistoryBuilder()
        .session(1, 13.1, BYE, LATE, received=[1.5, 7.1])
        .fault(2, 13)
        .session(7, 20, node="n2", received=[7.2])
    )
    assert set(history.verdict) == {Kind.LIMIT_PROVEN, Kind.UNFENCED}


def test_message_sent_before_the_successor_proves_nothing() -> None:
    history = (
        HistoryBuilder()
        .session(1, 4.1, BYE, LATE, received=[3.9])
        .fault(2, 4)
        .session(4.2, 20, node="n2", received=[7.2])
    )
    assert history.verdict == []


def test_two_served_sessions_with_one_name_prove_a_violation() -> None:
    history = HistoryBuilder(limit=5).session(1, 5, named="tab", received=[4]).session(2, 5, named="tab", received=[4])
    assert history.verdict == [Kind.DUPLICATE_NAME, Kind.DUPLICATE_NAME_PROVEN]


# ---- fencing


def test_message_delivered_after_a_long_freeze_is_a_violation() -> None:
    assert HistoryBuilder().session(1, 9, BYE, LATE, received=[3]).fault(2, 8.5).verdict == [Kind.UNFENCED]


def test_message_delivered_after_a_short_freeze_is_none() -> None:
    assert HistoryBuilder().session(1, 9, received=[3, 8]).fault(2, 6.5).verdict == []


def test_message_to_a_session_from_after_the_freeze_is_none() -> None:
    assert HistoryBuilder().fault(2, 8.5).session(8.6, 9.5, received=[8.7]).verdict == []


# ---- protocol


def test_frame_after_bye_is_a_violation() -> None:
    assert HistoryBuilder().session(1, 2, BYE, 4500).with_events(
        UnexpectedFrame(2.1, 1, "message after bye")
    ).verdict == [Kind.UNEXPECTED]


def test_close_frame_without_bye_is_a_violation() -> None:
    assert HistoryBuilder().session(1, 2, End.CLOSED, 4500).verdict == [Kind.WRONG_CODE]


def test_close_for_an_internal_error_is_a_violation() -> None:
    assert HistoryBuilder().session(1, 2, BYE, 1011).verdict == [Kind.WRONG_CODE]


def test_eviction_under_reject_is_a_violation() -> None:
    assert HistoryBuilder(policy="reject").session(1, 2, BYE, 4500).verdict == [Kind.WRONG_CODE]


@pytest.mark.parametrize("kind", [FaultKind.EMPTY_REDIS, FaultKind.SWITCH_TO_EMPTY])
def test_eviction_under_reject_is_none_after_redis_lost_the_policy(kind: FaultKind) -> None:
    history = HistoryBuilder(policy="reject").session(1, 2, BYE, 4500).fault(1.5, 1.6, kind, "redis")
    assert history.verdict == []


def test_refusal_without_retry_after_is_a_violation() -> None:
    assert HistoryBuilder().refusal(1013, None).verdict == [Kind.BAD_REFUSAL]


# ---- after the faults


@pytest.mark.parametrize(
    ("listed", "connected", "found"),
    [
        pytest.param(("x", "y"), ("x", "y"), [], id="right"),
        pytest.param(("x",), (), [Kind.LEAKED], id="a place without a session"),
        pytest.param((), ("x",), [Kind.SESSION_LIST], id="a session without a place"),
        pytest.param(("x", "z"), ("x", "y"), [Kind.SESSION_LIST], id="another session"),
        pytest.param(("x", "x"), ("x",), [Kind.SESSION_LIST], id="listed twice"),
    ],
)
def test_session_list_of_a_node_has_to_equal_the_connected_sessions(
    listed: tuple[str, ...], connected: tuple[str, ...], found: list[Kind]
) -> None:
    assert (
        HistoryBuilder().with_events(SessionList(9, "after the faults", "a", "n2", listed, connected)).verdict == found
    )


@pytest.mark.parametrize(
    ("policy", "place", "admitted", "seconds", "found"),
    [
        pytest.param("reject", 2, True, 1, [], id="the last place"),
        pytest.param("reject", 2, False, 12, [Kind.NOT_ADMITTED], id="a free place is not granted"),
        pytest.param("reject", 2, True, 11, [Kind.NOT_ADMITTED], id="a free place is granted late"),
        pytest.param("reject", 3, False, 1, [], id="one more is refused"),
        pytest.param("reject", 3, True, 1, [Kind.OVERFULL], id="one more gets in"),
        pytest.param("evict_oldest", 3, True, 1, [], id="one more evicts"),
        pytest.param("evict_oldest", 3, False, 1, [Kind.OVERFULL], id="one more should evict"),
    ],
)
def test_sessions_are_admitted_up_to_the_limit_after_the_faults(
    policy: str, place: int, admitted: bool, seconds: float, found: list[Kind]
) -> None:
    assert (
        HistoryBuilder(limit=2, policy=policy).with_events(PlaceProbe(9, "a", place, admitted, seconds, 1013)).verdict
        == found
    )


def test_node_that_exits_without_being_killed_is_a_violation() -> None:
    assert HistoryBuilder().with_events(NodeDied(3, "n1", "Traceback")).verdict == [Kind.NODE_DIED]
