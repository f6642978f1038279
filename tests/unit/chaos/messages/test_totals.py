"""The totals of a run of messages; a run with too small ones is rejected."""

import pytest

from tests.chaos.harness.history import FaultKind
from tests.chaos.messages.record import Position, Window
from tests.chaos.messages.totals import Minimum, too_little, totals_of
from tests.unit.chaos.messages.record_builder import EMPTY, E, F, RecordBuilder


def test_delays_count_only_messages_of_live_listeners() -> None:
    record = (
        RecordBuilder()
        .subscription(1, 2, 3, at=1.0)
        .acknowledgement(2, Position(E, 2), at=1.15)
        .acknowledgement(3, Position(E, 3), at=0.5)
    )
    delays = totals_of(record).delays
    assert delays.count == 1
    assert delays.longest == pytest.approx(0.05)


def test_delays_are_grouped_by_the_fault_at_the_acknowledgement() -> None:
    record = (
        RecordBuilder()
        .subscription(1, 2, at=1.0)
        .acknowledgement(2, Position(E, 2), at=1.15)
        .fault(FaultKind.RESET_LINK, 1.1, 1.1)
    )
    record.fault(FaultKind.KILL_NODE, 7.0, 8.0)
    assert totals_of(record).delays_by_fault.keys() == {"reset_link"}


def test_repair_time_counts_from_the_end_of_the_fault() -> None:
    record = (
        RecordBuilder()
        .subscription(1, at=8.0)
        .acknowledgement(1, Position(E, 1), at=8.02)
        .fault(FaultKind.STALL_LINK, 8.01, 8.07)
    )
    repair = totals_of(record).repairs_by_fault["stall_link"]
    assert repair.longest == pytest.approx(0.03)


def test_announced_missing_messages_are_counted() -> None:
    record = RecordBuilder().fault(EMPTY, 0.5, 0.9).subscription(1, Position(E, 5), 6, Position(F, 0), (1, 11))
    record.subscription(start=Position(E, 90), asked=Position(E, 60), recovered=False)
    assert totals_of(record).skipped == 4 + 30


WANTED = Minimum(deliveries=3, faults=2, kinds=2, acknowledged=1, recovered=1, repeated=0, entries=2)


def test_run_above_the_minimum_is_not_rejected() -> None:
    record = (
        RecordBuilder()
        .subscription(1, 2, start=Position(E, 2), asked=Position(E, 0), recovered=True)
        .subscription(1)
        .acknowledgement(1, Position(E, 1))
    )
    record.page([1, 2], Window(9), Position(E, 2)).fault(EMPTY, 1, 2).fault(FaultKind.FAILOVER, 1, 2)
    assert too_little(totals_of(record), WANTED) == []


def test_run_below_the_minimum_is_rejected() -> None:
    reasons = too_little(totals_of(RecordBuilder().subscription(1).fault(EMPTY, 1, 2)), WANTED)
    names = [reason.partition(":")[0] for reason in reasons]
    assert names == [
        "deliveries",
        "faults",
        "kinds of faults",
        "messages acknowledged",
        "subscriptions that recovered",
        "entries of history read",
    ]


def test_run_with_too_many_announced_missing_messages_is_rejected() -> None:
    record = RecordBuilder().fault(EMPTY, 0.5, 0.9).subscription(1, Position(E, 9), 10)
    nothing = Minimum(deliveries=0, faults=0, kinds=0, acknowledged=0, recovered=0, repeated=0, entries=0)
    assert len(too_little(totals_of(record), nothing)) == 1
