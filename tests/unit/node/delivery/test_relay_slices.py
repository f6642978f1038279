"""Delivery to large rosters: in slices, in order, and with a bounded backlog."""

import pytest
from tannoy.node.delivery import relay as relay_module
from tannoy.shared.protocol.codec import JSON, MSGPACK

from tests.support.clock import on_manual_time, turns
from tests.support.hub_members import KITCHEN, LOBBY, RelayDriver, binary_frames, delivery, text_frames

# ---- slices


@on_manual_time
async def test_large_roster_is_written_to_in_slices_one_per_loop_iteration() -> None:
    driver = RelayDriver(slice_size=3)
    members = [driver.join() for _ in range(8)]
    driver.deliver("1")
    served: list[int] = []
    for _ in range(4):
        served.append(sum(bool(member.writes) for member in members))
        await turns(1)
    assert served == [3, 6, 8, 8]


def test_roster_of_one_slice_is_written_to_at_once() -> None:
    driver = RelayDriver(slice_size=3)
    members = [driver.join() for _ in range(3)]
    driver.deliver("1")
    assert all(member.writes for member in members)


@on_manual_time
async def test_each_member_receives_each_batch_once_and_in_order_with_slices() -> None:
    driver = RelayDriver(slice_size=3)
    members = [driver.join(wire=wire) for wire in (JSON, MSGPACK) for _ in range(5)]
    texts = [str(number) for number in range(20)]
    for number in range(0, 20, 2):
        driver.deliver(*texts[number : number + 2])
        await turns(number % 3)
    await turns(100)
    for member in members:
        expected = text_frames(*texts) if member.wire is JSON else binary_frames(*texts)
        assert b"".join(member.writes) == expected


@on_manual_time
async def test_small_roster_is_not_delayed_by_a_large_one() -> None:
    driver = RelayDriver(slice_size=2)
    for _ in range(10):
        driver.join()
    small = driver.join(channel=KITCHEN)
    driver.relay.deliver([delivery("1"), delivery("a", channel=KITCHEN)])
    assert small.writes == [text_frames("a")]


@on_manual_time
async def test_member_that_leaves_before_its_slice_receives_nothing() -> None:
    driver = RelayDriver(slice_size=1)
    members = [driver.join() for _ in range(6)]
    driver.deliver("1")
    leavers = [member for member in members if not member.writes][:3]
    for member in leavers:
        driver.hub.remove(LOBBY, member)
    await turns(20)
    assert [len(member.writes) for member in leavers] == [0, 0, 0]
    assert sum(len(member.writes) for member in members) == 3


@on_manual_time
async def test_member_that_joins_during_a_sliced_delivery_receives_later_messages_alone() -> None:
    driver = RelayDriver(slice_size=1)
    for _ in range(3):
        driver.join()
    driver.deliver("before")
    newcomer = driver.join()
    driver.deliver("after")
    await turns(20)
    assert newcomer.writes == [text_frames("after")]


@on_manual_time
async def test_excluded_session_receives_nothing_with_slices() -> None:
    driver = RelayDriver(slice_size=1)
    members = [driver.join(f"s{number}") for number in range(4)]
    driver.deliver("typing", exclude="s2")
    await turns(20)
    assert [len(member.writes) for member in members] == [1, 1, 0, 1]


@on_manual_time
async def test_roster_left_by_all_during_a_sliced_delivery_has_no_backlog() -> None:
    driver = RelayDriver(slice_size=1)
    members = [driver.join() for _ in range(4)]
    driver.deliver("1")
    driver.deliver("2")
    for member in members:
        driver.hub.remove(LOBBY, member)
    await turns(20)
    assert driver.relay.statistics().backlog_bytes == 0
    later = driver.join()
    driver.deliver("3")
    assert later.writes == [text_frames("3")]


# ---- back-pressure on the link


@on_manual_time
async def test_link_is_paused_by_a_backlog_and_resumed_when_it_has_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "BACKLOG_MAX_BYTES", 100)
    driver = RelayDriver(slice_size=1)
    members = [driver.join() for _ in range(3)]
    driver.deliver("x" * 100)
    assert driver.link == []
    driver.deliver("y")
    driver.deliver("z")
    assert (driver.link, driver.relay.statistics().link_paused) == (["pause"], True)
    await turns(20)
    assert (driver.link, driver.relay.statistics().link_paused) == (["pause", "resume"], False)
    assert driver.relay.statistics().backlog_bytes == 0
    assert all(b"".join(member.writes) == text_frames("x" * 100, "y", "z") for member in members)


@on_manual_time
async def test_link_is_resumed_if_all_members_leave_during_a_sliced_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "BACKLOG_MAX_BYTES", 100)
    driver = RelayDriver(slice_size=1)
    members = [driver.join() for _ in range(3)]
    for _ in range(3):
        driver.deliver("x" * 100)
    for member in members:
        driver.hub.remove(LOBBY, member)
    await turns(20)
    assert driver.link == ["pause", "resume"]


def test_delivery_without_slices_adds_no_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "BACKLOG_MAX_BYTES", 100)
    driver = RelayDriver()
    driver.join()
    driver.deliver("x" * 1000)
    assert driver.link == []


# ---- versions of presence events


@on_manual_time
async def test_presence_event_that_waits_for_slices_is_dropped_if_it_does_not_lie_above_those_before() -> None:
    driver = RelayDriver(slice_size=1)
    members = [driver.join() for _ in range(3)]
    for version in (5, 4, 6, 6):
        driver.relay.deliver([delivery(f"v{version}", version=version)])
    await turns(20)
    assert {b"".join(member.writes) for member in members} == {text_frames("v5", "v6")}
    assert driver.relay.statistics().backlog_bytes == 0
