"""A channel over several connections: where it starts, what is missed, and what was read before."""

from tannoy.client.catch_up import Frame
from tannoy.client.channel_state import ChannelState
from tannoy.client.errors import ClientError
from tannoy.client.events import Rejoined
from tannoy.client.inbox import Missed
from tannoy.shared.publication import Position


def message(offset: int) -> Frame:
    return {"type": "message", "offset": offset, "timestamp": f"t{offset}", "session_id": "s", "user_id": "ada"}


def answer(offset: int, epoch: str = "e1", **fields: object) -> Frame:
    """The `ok` of a `join`."""
    return {"type": "ok", "epoch": epoch, "offset": offset, **fields}


def joined(offset: int = 0) -> ChannelState:
    channel = ChannelState("lobby", 10)
    channel.enter(answer(offset))
    return channel


def take_all(channel: ChannelState) -> list[object]:
    taken: list[object] = []
    while (entry := channel.take()) is not None:
        taken.append(entry if isinstance(entry, Missed) else entry["offset"])
    return taken


def test_the_first_join_starts_at_the_head_and_misses_nothing() -> None:
    channel = joined(offset=7)
    assert (take_all(channel), channel.recover_from) == ([], Position("e1", 7))


def test_a_message_before_the_answer_to_join_is_not_taken() -> None:
    channel = ChannelState("lobby", 10)
    channel.add_message(message(1))
    assert take_all(channel) == []


def test_recovered_messages_follow_those_of_the_connection_before() -> None:
    channel = joined()
    channel.add_message(message(1))
    channel.interrupt()
    channel.enter(answer(3, recovered=True))
    for offset in (2, 3, 4):
        channel.add_message(message(offset))
    assert take_all(channel) == [1, 2, 3, 4]


def test_a_join_without_recovery_leaves_a_missed_entry_up_to_its_head() -> None:
    channel = joined()
    channel.add_message(message(1))
    channel.interrupt()
    channel.enter(answer(9, recovered=False))
    channel.add_message(message(10))
    assert take_all(channel) == [1, Missed(Position("e1", 9)), 10]


def test_a_channel_that_is_joined_again_says_how_many_messages_follow() -> None:
    channel = ChannelState("lobby", 10)
    assert channel.enter(answer(4)) is None
    channel.interrupt()
    assert channel.enter(answer(7, recovered=True)) == Rejoined("lobby", 3)
    channel.interrupt()
    assert channel.enter(answer(9, recovered=False)) == Rejoined("lobby", None)


def test_a_message_that_was_read_before_is_not_taken_again() -> None:
    channel = joined()
    channel.add_message(message(1))
    assert take_all(channel) == [1]
    channel.add_message(message(1))
    assert take_all(channel) == []


def test_a_resync_leaves_a_missed_entry() -> None:
    channel = joined()
    channel.add_resync({"type": "resync", "epoch": "e2", "offset": 5, "reason": "data lost"})
    assert take_all(channel) == [Missed(Position("e2", 5))]


def test_a_message_after_the_channel_was_left_is_not_taken() -> None:
    channel = joined()
    channel.finish(None)
    channel.add_message(message(1))
    assert take_all(channel) == []


def test_what_was_received_before_the_end_can_still_be_taken() -> None:
    channel = joined()
    channel.add_message(message(1))
    channel.finish(ClientError("why"))
    assert take_all(channel) == [1]


def test_the_first_end_of_a_channel_counts() -> None:
    channel, first = joined(), ClientError("first")
    channel.finish(first)
    channel.finish(ClientError("second"))
    assert channel.end is first


def test_the_reader_is_called_when_something_has_come() -> None:
    channel, calls = joined(), list[int]()
    channel.on_change = lambda: calls.append(1)
    channel.add_message(message(1))
    assert len(calls) == 1
