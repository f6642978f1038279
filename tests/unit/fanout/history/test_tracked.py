"""Which channels are compared next: what may have a hole first, all others in rotation."""

import pytest
from tannoy.fanout.history import tracked as tracked_module
from tannoy.fanout.history.cursor import Cursor, TrackedChannel
from tannoy.fanout.history.tracked import HEADS_IN_A_ROW, ComparisonSchedule, Rotation, TrackedChannels
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.names import RoomName
from tannoy.shared.publication import Position, Publication

from tests.support.scripted_history import KEYSPACE


def _no_reset(position: Position, reason: str) -> Publication:
    raise AssertionError("these cursors stay where they are")


def following(count: int) -> TrackedChannels:
    channels = TrackedChannels()
    for number in range(count):
        channels.add(KEYSPACE.room(RoomName(f"room-{number}")), Cursor(_no_reset))
    return channels


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight heads in a period, two of them at least for the rotation."""
    monkeypatch.setattr(tracked_module, "HEADS_PER_PERIOD", 8)
    monkeypatch.setattr(tracked_module, "HEADS_IN_ROTATION", 2)


# ---- rotation


def test_the_rotation_takes_each_channel_once_in_a_round() -> None:
    channels = following(100)
    rotation = Rotation(channels)
    for _ in range(3):
        taken = [tracked for _ in range(4) for tracked in rotation.take(25)]
        assert sorted(map(id, taken)) == sorted(map(id, channels.by_address.values()))


def test_the_rotation_takes_no_channel_twice_at_once() -> None:
    rotation = Rotation(following(10))
    rotation.take(7)
    assert len(set(rotation.take(1000))) == 10


def test_the_rotation_of_no_channels_is_empty() -> None:
    assert Rotation(TrackedChannels()).take(10) == []


def test_a_channel_that_was_followed_since_has_its_turn_in_the_next_round() -> None:
    channels = following(20)
    rotation = Rotation(channels)
    rotation.take(20)
    late = KEYSPACE.room(RoomName("late"))
    channels.add(late, Cursor(_no_reset))
    assert late in [tracked.channel for tracked in rotation.take(21)]


# ---- partitions


def test_the_channels_of_partitions_come_a_few_of_each_in_turn() -> None:
    channels = following(64 * 40)
    first = [tracked.partition for tracked in channels.of_partitions(range(PARTITIONS))][: PARTITIONS * HEADS_IN_A_ROW]
    assert [first.count(part) for part in range(PARTITIONS)] == [HEADS_IN_A_ROW] * PARTITIONS


def test_all_channels_of_the_partitions_come_once_and_no_others() -> None:
    channels = following(300)
    taken = list(channels.of_partitions((3, 5, 60)))
    expected = [tracked for tracked in channels.by_address.values() if tracked.partition in (3, 5, 60)]
    assert sorted(map(id, taken)) == sorted(map(id, expected))


def test_marked_partitions_are_taken_once() -> None:
    schedule = ComparisonSchedule(following(1))
    schedule.mark_partitions((3, 60))
    assert (schedule.take_partitions(), schedule.take_partitions()) == ({3, 60}, set())


# ---- what is due


def some(channels: TrackedChannels, count: int) -> list[TrackedChannel]:
    return list(channels.by_address.values())[:count]


def test_a_channel_with_messages_is_due_once() -> None:
    channels = following(5)
    schedule = ComparisonSchedule(channels)
    (one,) = some(channels, 1)
    schedule.active.update([one.channel.address] * 2)
    assert (schedule.take_due(), schedule.take_due()) == ([one], [])


def test_a_channel_that_was_dropped_is_not_due() -> None:
    channels = following(5)
    schedule = ComparisonSchedule(channels)
    one, other = some(channels, 2)
    schedule.mark((one, other))
    channels.drop(one.channel.address)
    assert schedule.take_due() == [other]


@pytest.mark.usefixtures("few_at_once")
def test_what_has_waited_longest_is_due_first() -> None:
    channels = following(20)
    schedule = ComparisonSchedule(channels)
    schedule.mark(some(channels, 10))
    first = schedule.take_due()
    schedule.mark(first)
    second = schedule.take_due()
    assert (len(first), len(second)) == (6, 6)
    assert set(some(channels, 10)) == set(first + second)


@pytest.mark.usefixtures("few_at_once")
def test_the_rotation_goes_on_beside_as_much_as_is_due() -> None:
    channels = following(20)
    schedule = ComparisonSchedule(channels)
    silent: set[TrackedChannel] = set()
    for _ in range(20):
        schedule.mark(some(channels, 10))
        due = schedule.take_due()
        others = schedule.take_in_rotation(beside=due)
        assert len(due) == 6
        assert len(others) <= 2
        silent.update(others)
    assert silent >= set(list(channels.by_address.values())[10:])


def test_all_channels_of_a_small_node_are_compared_in_each_period() -> None:
    channels = following(100)
    schedule = ComparisonSchedule(channels)
    for _ in range(3):
        schedule.mark(some(channels, 10))
        due = schedule.take_due()
        others = schedule.take_in_rotation(beside=due)
        assert sorted(map(id, due + others)) == sorted(map(id, channels.by_address.values()))
