"""Each kind of violation of messages is found in a record built by hand; a clean record has none."""

import pytest

from tests.chaos.harness.history import FaultKind
from tests.chaos.harness.violation import Kind
from tests.chaos.messages.record import Position, Resync, Window
from tests.chaos.messages.verify import EPOCHS_PER_SWITCH
from tests.unit.chaos.messages.record_builder import EMPTY, E, F, RecordBuilder, message_frame


def test_clean_run_has_no_violation() -> None:
    record = (
        RecordBuilder()
        .subscription(1, 2, 3)
        .subscription(3, start=Position(E, 2))
        .subscription(2, 3, start=Position(E, 3), asked=Position(E, 1), recovered=True)
    )
    record.acknowledgement(3, Position(E, 3)).page([1, 2, 3], Window(10), Position(E, 3)).head(Position(E, 3))

    assert record.verdict == []


# ---- each listener


@pytest.mark.parametrize(
    ("items", "found"),
    [
        pytest.param((1, 2, 4), [Kind.HOLE], id="one is missing"),
        pytest.param((2, 3), [Kind.HOLE], id="the first one is missing"),
        pytest.param((1, 2, 2, 3), [Kind.DUPLICATE], id="one comes twice"),
        pytest.param((1, 2, 3, 1), [Kind.DUPLICATE], id="an old one comes again"),
        pytest.param((1, 3, 2, 4), [Kind.HOLE, Kind.REORDERED], id="two change positions"),
    ],
)
def test_offsets_have_to_increase_by_one(items: tuple[int, ...], found: list[Kind]) -> None:
    assert RecordBuilder().subscription(*items).verdict == found


def test_message_before_the_first_position_is_a_duplicate() -> None:
    assert RecordBuilder().subscription(4, 5, start=Position(E, 4)).verdict == [Kind.DUPLICATE]


def test_messages_skipped_by_a_resync_are_no_hole() -> None:
    assert RecordBuilder().fault(FaultKind.RESET_LINK, 1, 1).subscription(1, 2, Position(E, 7), 8).verdict == []


def test_messages_missing_after_a_resync_are_a_hole() -> None:
    assert RecordBuilder().fault(FaultKind.RESET_LINK, 1, 1).subscription(1, 2, Position(E, 7), 9).verdict == [
        Kind.HOLE
    ]


def test_resync_to_an_earlier_position_is_a_violation() -> None:
    record = RecordBuilder().fault(FaultKind.RESET_LINK, 1, 1).subscription(1, 2, 3, Position(E, 2))
    assert record.verdict == [Kind.REORDERED]


def test_offsets_may_start_again_in_a_new_epoch() -> None:
    assert RecordBuilder().fault(EMPTY, 0.5, 0.9).subscription(1, 2, Position(F, 0), (1, 11), (2, 12)).verdict == []


def test_resync_to_an_epoch_that_was_left_is_a_violation() -> None:
    record = RecordBuilder().fault(EMPTY, 0.5, 0.9).subscription(1, Position(F, 0), (1, 11), Position(E, 1), 2)
    assert record.verdict == [Kind.REORDERED]


def test_subscription_without_a_position_is_a_violation() -> None:
    assert RecordBuilder().subscription(1, start=None).verdict == [Kind.NO_POSITION]


def test_position_may_come_by_resync_before_the_first_message() -> None:
    record = (
        RecordBuilder()
        .fault(EMPTY, 0.5, 0.9)
        .subscription(Position(E, 3), 4, start=None, asked=Position(E, 1), recovered=False)
    )
    assert record.verdict == []
    assert record.subscription(Position(E, 3), 5, start=None).verdict == [Kind.HOLE]


def test_resync_without_a_position_is_a_violation() -> None:
    record = RecordBuilder().fault(EMPTY, 0.5, 0.9).subscription(1)
    record.subscriptions[0].resyncs.append(Resync(1, 1.2, None, "lost"))
    assert record.verdict == [Kind.NO_POSITION]


# ---- recovery


@pytest.mark.parametrize(
    ("items", "recovered", "start", "found"),
    [
        pytest.param((3, 4, 5), True, Position(E, 5), [], id="whole"),
        pytest.param((4, 5), True, Position(E, 5), [Kind.HOLE], id="in part"),
        pytest.param((6,), True, Position(E, 5), [Kind.HOLE], id="nothing"),
        pytest.param((2, 3, 4, 5), True, Position(E, 5), [Kind.DUPLICATE], id="too much"),
        pytest.param((91,), False, Position(E, 90), [], id="refused"),
        pytest.param((6,), False, Position(E, 5), [Kind.NEEDLESS], id="refused for nothing"),
        pytest.param((6,), None, Position(E, 5), [Kind.BAD_RECOVERY], id="no answer"),
        pytest.param((), True, Position(F, 5), [Kind.BAD_RECOVERY], id="into another epoch"),
        pytest.param((3,), True, None, [Kind.BAD_RECOVERY], id="to nowhere"),
        pytest.param((), False, Position(E, 1), [Kind.REORDERED], id="behind where it was"),
    ],
)
def test_recovered_messages_have_to_be_complete(
    items: tuple[int, ...], recovered: bool | None, start: Position | None, found: list[Kind]
) -> None:
    record = RecordBuilder().fault(EMPTY, 0.5, 0.9)
    assert record.subscription(*items, start=start, asked=Position(E, 2), recovered=recovered).verdict == found


@pytest.mark.parametrize(("kind", "verdict"), [("log", []), ("users", [Kind.NEEDLESS])])
def test_refused_recovery_is_allowed_after_the_log_has_vanished(kind: str, verdict: list[Kind]) -> None:
    record = RecordBuilder().lost_key(kind, at=7.0)
    record.subscription(6, start=Position(E, 5), asked=Position(E, 2), recovered=False, at=8.0)
    assert record.verdict == verdict


def test_refused_recovery_of_an_agent_is_allowed_after_a_fault_of_redis() -> None:
    record = RecordBuilder().subscription(
        6, start=Position(E, 5), asked=Position(E, 2), recovered=False, channel="agent:a", at=8.0
    )
    assert record.verdict == [Kind.NEEDLESS]
    assert record.fault(FaultKind.FREEZE_REDIS, 1.0, 7.0).verdict == []


def test_recovery_without_a_request_is_a_violation() -> None:
    assert RecordBuilder().subscription(1, recovered=True).verdict == [Kind.BAD_RECOVERY]


# ---- after the faults


def test_listener_below_the_head_after_the_faults_is_behind() -> None:
    assert RecordBuilder().subscription(1, 2, is_open=True).head(Position(E, 3)).verdict == [Kind.BEHIND]


def test_listener_at_the_head_by_resync_is_not_behind() -> None:
    record = RecordBuilder().fault(EMPTY, 1, 1).subscription(1, 2, Position(E, 3), is_open=True).head(Position(E, 3))
    assert record.verdict == []


def test_listener_that_has_left_is_not_behind() -> None:
    assert RecordBuilder().subscription(1, 2).head(Position(E, 3)).verdict == []


def test_nodes_with_different_heads_are_behind() -> None:
    assert RecordBuilder().head(Position(E, 3)).head(Position(E, 4), node="n2").verdict == [Kind.BEHIND]


# ---- in time and for a reason


def test_message_long_after_its_acknowledgement_is_late() -> None:
    assert RecordBuilder().subscription(1, at=15.0).verdict == []
    assert RecordBuilder().subscription(1, at=1.0).acknowledgement(1, Position(E, 1), at=1.0).verdict == []
    late = RecordBuilder().subscription(at=1.0, is_open=True).acknowledgement(1, Position(E, 1), at=1.0)
    late.add_message(late.subscriptions[0], 12.0, {**message_frame(1), "offset": 1})
    assert late.verdict == [Kind.LATE]


def test_message_delayed_by_a_fault_is_not_late() -> None:
    late = RecordBuilder().subscription(at=1.0, is_open=True).acknowledgement(1, Position(E, 1), at=1.0)
    late.add_message(late.subscriptions[0], 12.0, {**message_frame(1), "offset": 1})
    assert late.fault(FaultKind.STALL_LINK, 1.5, 9.0).verdict == []


def test_message_that_never_arrived_in_time_is_late() -> None:
    record = RecordBuilder().subscription(1).acknowledgement(2, Position(E, 2), at=1.3)
    assert record.verdict == []
    record.subscriptions[0].ended_at = 12.0
    assert record.verdict == [Kind.LATE]


def test_resync_without_a_fault_is_needless() -> None:
    assert RecordBuilder().subscription(1, Position(E, 3), 4).verdict == [Kind.NEEDLESS]


def test_more_epochs_than_losses_of_data_are_needless() -> None:
    record = RecordBuilder().fault(FaultKind.RESET_LINK, 0.5, 0.9).subscription(1, Position(F, 0), (1, 11))
    assert record.verdict == [Kind.NEEDLESS]
    assert record.fault(EMPTY, 0.5, 0.9).verdict == []


@pytest.mark.parametrize(("epochs", "verdict"), [(EPOCHS_PER_SWITCH, []), (EPOCHS_PER_SWITCH + 1, [Kind.NEEDLESS])])
def test_a_switch_explains_several_epochs(epochs: int, verdict: list[Kind]) -> None:
    record = RecordBuilder().fault(FaultKind.SWITCH_TO_COPY, 0.5, 2.9, "redis")
    record.subscription(1, *(Position(f"life.{number}", 1) for number in range(epochs)))
    assert record.verdict == verdict


# ---- protocol


def test_unexpected_frame_is_a_violation() -> None:
    record = RecordBuilder()
    record.add_unexpected(1.0, "client", "a message after bye")
    assert record.verdict == [Kind.UNEXPECTED]
