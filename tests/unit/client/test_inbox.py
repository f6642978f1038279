"""The bounded inbox of a channel: what is kept, what is remembered as missed, and from where to recover."""

from tannoy.client.catch_up import Frame
from tannoy.client.inbox import Inbox, Missed
from tannoy.shared.publication import Position


def message(offset: int | None) -> Frame:
    return {"type": "message", "offset": offset} if offset is not None else {"type": "message"}


def started(size: int = 10, offset: int = 0) -> Inbox:
    inbox = Inbox(size)
    inbox.start(Position("e1", offset))
    return inbox


def drain(inbox: Inbox) -> list[object]:
    """Offsets of messages, and what is missed."""
    taken: list[object] = []
    while (entry := inbox.take()) is not None:
        taken.append(entry if isinstance(entry, Missed) else entry.get("offset"))
    return taken


def test_messages_are_taken_in_the_order_in_which_they_came() -> None:
    inbox = started()
    for offset in (1, 2, 3):
        inbox.add_message(message(offset))
    assert drain(inbox) == [1, 2, 3]


def test_an_empty_inbox_has_nothing_to_take() -> None:
    assert started().take() is None


def test_the_position_to_recover_from_is_that_of_the_last_message_received() -> None:
    inbox = started(offset=4)
    assert inbox.recover_from == Position("e1", 4)
    inbox.add_message(message(5))
    assert inbox.recover_from == Position("e1", 5)


def test_without_history_there_is_no_position_to_recover_from() -> None:
    inbox = Inbox(10)
    inbox.start(None)
    inbox.add_message(message(None))
    assert inbox.recover_from is None


def test_what_does_not_fit_becomes_one_missed_entry_up_to_the_last_of_them() -> None:
    inbox = started(size=2)
    for offset in range(1, 8):
        inbox.add_message(message(offset))
    assert drain(inbox) == [1, 2, Missed(Position("e1", 7))]


def test_a_full_inbox_never_grows_beyond_one_further_entry() -> None:
    inbox = started(size=2)
    for offset in range(1, 1000):
        inbox.add_message(message(offset))
        inbox.add_missed(Position("e1", offset))
    assert len(inbox) == 3


def test_messages_after_the_missed_entry_was_taken_are_kept_again() -> None:
    inbox = started(size=2)
    for offset in (1, 2, 3):
        inbox.add_message(message(offset))
    drain(inbox)
    inbox.add_message(message(4))
    assert drain(inbox) == [4]


def test_nothing_is_recovered_while_an_overflow_waits_to_be_read_from_the_history() -> None:
    inbox = started(size=1)
    inbox.add_message(message(1))
    inbox.add_message(message(2))
    assert inbox.recover_from is None
    drain(inbox)
    assert inbox.recover_from == Position("e1", 2)


def test_a_resync_stands_between_the_messages_before_and_after_it() -> None:
    inbox = started()
    inbox.add_message(message(1))
    inbox.add_missed(Position("e2", 5))
    inbox.add_message(message(6))
    assert drain(inbox) == [1, Missed(Position("e2", 5)), 6]
    assert inbox.recover_from == Position("e2", 6)


def test_a_resync_behind_another_one_replaces_it() -> None:
    inbox = started()
    inbox.add_missed(Position("e2", 5))
    inbox.add_missed(Position("e3", 7))
    assert drain(inbox) == [Missed(Position("e3", 7))]


def test_an_overflow_in_a_new_epoch_is_missed_up_to_its_position_there() -> None:
    inbox = started(size=1)
    inbox.add_message(message(1))
    inbox.add_message(message(2))
    inbox.add_missed(Position("e2", 9))
    inbox.add_message(message(10))
    assert drain(inbox) == [1, Missed(Position("e2", 10))]


def test_a_resync_of_a_full_inbox_takes_up_what_follows_it() -> None:
    inbox = started(size=1)
    inbox.add_message(message(1))
    inbox.add_missed(Position("e2", 5))
    inbox.add_message(message(6))
    assert drain(inbox) == [1, Missed(Position("e2", 6))]


def test_a_message_below_the_head_does_not_move_it_back() -> None:
    inbox = started(offset=9)
    inbox.add_message(message(4))
    assert inbox.head == Position("e1", 9)


def test_a_reader_has_caught_up_when_half_of_the_inbox_is_empty() -> None:
    inbox = started(size=4)
    for offset in (1, 2, 3, 4):
        inbox.add_message(message(offset))
    assert (inbox.is_full, inbox.is_low) == (True, False)
    inbox.take()
    assert not inbox.is_low
    inbox.take()
    assert inbox.is_low
