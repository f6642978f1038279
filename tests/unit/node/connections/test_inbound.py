"""How many frames one client may send."""

import pytest
from tannoy.node.connections.inbound import FRAMES_MAX, FRAMES_PER_SECOND, FrameAllowance

from tests.support.client_driver import connect_to_room
from tests.support.clock import on_manual_time
from tests.support.unit_node import UnitNode

SHARE = 64


def test_a_burst_is_allowed_up_to_the_bound() -> None:
    allowance = FrameAllowance(0.0)

    assert allowance.take(FRAMES_MAX, 0.0)
    assert not allowance.take(1, 0.0)


def test_so_many_frames_a_second_are_allowed_for_ever() -> None:
    allowance = FrameAllowance(0.0)

    assert all(allowance.take(FRAMES_PER_SECOND, float(second)) for second in range(1, 10_000))


@pytest.mark.parametrize("turns_a_second", [20, 400, 4_000])
def test_a_client_at_its_share_in_every_turn_is_found_whatever_the_turns_last(turns_a_second: int) -> None:
    allowance = FrameAllowance(0.0)
    at_once = FRAMES_MAX // SHARE
    surplus = turns_a_second - FRAMES_PER_SECOND / SHARE
    taken = next(turn for turn in range(1, 10_000_000) if not allowance.take(SHARE, turn / turns_a_second))

    assert taken == pytest.approx(at_once * turns_a_second / surplus, rel=0.01)


def test_silence_adds_nothing_beyond_the_bound() -> None:
    allowance = FrameAllowance(0.0)

    assert allowance.take(FRAMES_MAX, 10_000.0)
    assert not allowance.take(1, 10_000.0)


@on_manual_time
async def test_a_command_that_redis_is_asked_for_costs_nothing() -> None:
    client = await connect_to_room(UnitNode())
    assert client.connection.charge_frames(FRAMES_MAX)
    for number in range(10):
        client.send(type="message", content=number)

    assert client.connection.charge_frames(10)


@pytest.mark.parametrize("fields", [{"type": "ping"}, {"type": "pong"}, {"type": "join", "room": "lobby"}], ids=str)
@on_manual_time
async def test_a_command_that_the_node_answers_by_itself_is_charged_and_counted(fields: dict[str, str]) -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    assert client.connection.charge_frames(FRAMES_MAX)
    client.send(**fields)

    assert not client.connection.charge_frames(1)
    assert node.counters.statistics().flooding == 1
