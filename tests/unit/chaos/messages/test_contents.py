"""One position is one message everywhere: violations of that are found in a record built by hand."""

import pytest

from tests.chaos.harness.history import FaultKind
from tests.chaos.harness.violation import Kind
from tests.chaos.messages.record import Position, Window
from tests.unit.chaos.messages.record_builder import CHANNEL, EMPTY, E, F, RecordBuilder, message_frame


def test_two_messages_at_one_position_conflict() -> None:
    assert RecordBuilder().subscription(1, 2).subscription(1, (2, 7)).verdict == [Kind.CONFLICTING]


def test_two_authors_of_the_message_at_one_position_conflict() -> None:
    assert RecordBuilder().subscription(1).subscription(1, by="bob").verdict == [Kind.CONFLICTING]


def test_content_that_was_never_published_conflicts() -> None:
    record = RecordBuilder().subscription()
    forged = {**message_frame(1), "content": {"n": 1, "size": 5, "text": "?"}, "offset": 1}
    record.add_message(record.subscriptions[0], 1.05, forged)
    assert record.verdict == [Kind.CONFLICTING]


def test_acknowledged_position_with_another_message_conflicts() -> None:
    assert RecordBuilder().subscription(1, 2).acknowledgement(9, Position(E, 2)).verdict == [Kind.CONFLICTING]


def test_page_with_another_message_at_a_position_conflicts() -> None:
    assert RecordBuilder().subscription(1, (2, 7)).page([1, 2], Window(9), Position(E, 2)).verdict == [Kind.CONFLICTING]


def test_two_messages_acknowledged_at_one_position_conflict() -> None:
    record = RecordBuilder().acknowledgement(1, Position(E, 1)).acknowledgement(2, Position(E, 1))
    assert record.verdict == [Kind.CONFLICTING]


def test_message_at_two_offsets_of_an_epoch_is_published_twice() -> None:
    assert RecordBuilder().subscription(1, (2, 1)).verdict == [Kind.PUBLISHED_TWICE]


def test_keyed_message_may_have_another_offset_in_a_new_epoch() -> None:
    record = RecordBuilder().fault(EMPTY, 0.5, 0.9).subscription(1, 2, Position(F, 0), (1, 2))
    assert record.acknowledgement(2, Position(F, 1), at=1.6).verdict == []


def test_unkeyed_message_at_two_offsets_is_published_twice() -> None:
    record = RecordBuilder().fault(EMPTY, 0.5, 0.9).subscription(1, 2, Position(F, 0), (1, 2))
    assert record.acknowledgement(2, Position(F, 1), at=1.6, keyed=False).verdict == [Kind.PUBLISHED_TWICE]


def test_message_at_one_offset_in_two_epochs_is_allowed() -> None:
    record = (
        RecordBuilder()
        .fault(EMPTY, 0.5, 0.9)
        .subscription(1, 2, Position(F, 2), 3)
        .acknowledgement(2, Position(E, 2), keyed=False)
    )
    assert record.page([1, 2, 3], Window(10), Position(F, 3)).verdict == []


def test_message_acknowledged_before_a_lower_head_is_lost() -> None:
    record = RecordBuilder().acknowledgement(3, Position(E, 3), at=4.0).page([1, 2], Window(10), Position(E, 2), at=5.0)
    assert record.verdict == [Kind.LOST]


def test_message_acknowledged_after_a_lower_head_is_not_lost() -> None:
    record = RecordBuilder().acknowledgement(3, Position(E, 3), at=6.0).page([1, 2], Window(10), Position(E, 2), at=5.0)
    assert record.verdict == []


@pytest.mark.parametrize(
    ("offsets", "window"),
    [
        pytest.param([7, 8, 9], Window(3), id="the last ones"),
        pytest.param([5, 6, 7, 8, 9], Window(9), id="all that are kept"),
        pytest.param([6, 7, 8], Window(3, since=5), id="since"),
        pytest.param([5, 6, 7], Window(3, since=2), id="since a removed message"),
        pytest.param([], Window(3, since=9), id="since the head"),
        pytest.param([5, 6, 7], Window(5, before=8), id="before"),
        pytest.param([], Window(5, before=3), id="before the first kept message"),
    ],
)
def test_pages_as_requested_are_allowed(offsets: list[int], window: Window) -> None:
    assert RecordBuilder(kept=5).subscription(1).page(offsets, window).verdict == []


@pytest.mark.parametrize(
    ("offsets", "window"),
    [
        pytest.param([6, 7, 8], Window(3), id="not up to the head"),
        pytest.param([6, 7, 9], Window(3), id="a hole"),
        pytest.param([6, 7, 8, 9], Window(3), id="too many"),
        pytest.param([], Window(3), id="nothing"),
        pytest.param([7, 8, 9], Window(3, since=5), id="a later beginning"),
        pytest.param([5, 6, 7], Window(3, since=5), id="a message that was known"),
        pytest.param([6, 7], Window(5, since=5), id="an early end"),
        pytest.param([], Window(5, since=5), id="nothing since"),
        pytest.param([5, 6, 7, 8], Window(5, before=8), id="not before"),
        pytest.param([5, 6], Window(5, before=8), id="an end before that"),
    ],
)
def test_pages_other_than_requested_are_bad(offsets: list[int], window: Window) -> None:
    assert RecordBuilder(kept=5).subscription(1).page(offsets, window).verdict == [Kind.BAD_PAGE]


@pytest.mark.parametrize(("offsets", "verdict"), [([6, 7], []), ([], [Kind.BAD_PAGE]), ([7, 8], [Kind.BAD_PAGE])])
def test_page_that_says_that_there_is_more_may_end_early(offsets: list[int], verdict: list[Kind]) -> None:
    record = RecordBuilder(kept=5).subscription(1).page(offsets, Window(5, since=5), has_more=True)
    assert record.verdict == verdict


def test_page_may_lack_messages_from_before_the_epoch() -> None:
    record = RecordBuilder(kept=5).fault(EMPTY, 0.5, 0.9).subscription(1, 2, Position(F, 7), 8, 9)
    assert record.page([], Window(5), Position(F, 7)).page([8, 9], Window(5, since=5), Position(F, 9)).verdict == []
    assert record.page([9], Window(5, since=5), Position(F, 9)).verdict == [Kind.BAD_PAGE]


# ---- keys that vanish


@pytest.mark.parametrize("offsets", [[], [9], [7, 8, 9]])
def test_page_may_lack_messages_that_were_acknowledged_before_the_log_vanished(offsets: list[int]) -> None:
    record = RecordBuilder(kept=9).subscription(1).lost_key("log", at=4.0)
    for offset in range(1, 10):
        record.acknowledgement(offset, Position(E, offset), at=1.0)
    assert record.page(offsets, Window(9, since=2)).verdict == []


@pytest.mark.parametrize(("kind", "channel"), [("log", "room:other"), ("once", CHANNEL)])
def test_page_may_not_lack_messages_after_the_loss_of_another_key(kind: str, channel: str) -> None:
    record = RecordBuilder(kept=9).subscription(1).lost_key(kind, at=4.0, channel=channel)
    for offset in range(1, 10):
        record.acknowledgement(offset, Position(E, offset), at=1.0)
    assert record.page([7, 8, 9], Window(9, since=2)).verdict == [Kind.BAD_PAGE]


def test_page_may_not_lack_messages_that_were_acknowledged_after_the_loss() -> None:
    record = RecordBuilder(kept=9).subscription(1).lost_key("log", at=4.0)
    for offset in range(1, 10):
        record.acknowledgement(offset, Position(E, offset), at=1.0 if offset < 6 else 50.0)
    assert record.page([7, 8, 9], Window(9, since=2), at=60.0).verdict == [Kind.BAD_PAGE]


@pytest.mark.parametrize(("keyed", "verdict"), [(True, []), (False, [Kind.PUBLISHED_TWICE])])
def test_message_may_be_published_twice_after_its_idempotency_key_has_vanished(
    keyed: bool, verdict: list[Kind]
) -> None:
    record = RecordBuilder().subscription((1, 5), (2, 5)).lost_key("once", at=1.0, channel=f"{CHANNEL}:digest")
    assert record.acknowledgement(5, Position(E, 2), at=2.0, keyed=keyed).verdict == verdict


# ---- one server


def test_message_acknowledged_in_another_epoch_than_that_of_later_pages_is_lost() -> None:
    record = RecordBuilder().fault(FaultKind.SWITCH_TO_COPY, 0.5, 0.9, "redis")
    record.acknowledgement(3, Position(E, 3), at=8.0).page([1, 2], Window(9), Position(F, 2), at=9.0)
    assert record.verdict == [Kind.LOST]


@pytest.mark.parametrize("until", [2.5, 9.5])
def test_message_may_be_lost_with_the_former_server_until_all_have_left_it(until: float) -> None:
    record = RecordBuilder().fault(FaultKind.SWITCH_TO_COPY, 0.5, until, "redis")
    record.acknowledgement(3, Position(E, 3), at=8.0).page([1, 2], Window(9), Position(F, 2), at=9.0)
    assert record.verdict == []


def test_repeated_message_may_be_acknowledged_in_the_epoch_of_its_first_attempt() -> None:
    record = RecordBuilder().fault(FaultKind.SWITCH_TO_COPY, 0.5, 0.9, "redis")
    record.acknowledgement(2, Position(E, 2), at=8.0, tries=2).page([1, 2], Window(9), Position(F, 2), at=9.0)
    assert record.verdict == []
