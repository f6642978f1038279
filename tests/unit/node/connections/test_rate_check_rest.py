"""A session that has sent much at once: the event loop handles one command of it in a turn, so that others go on."""

import pytest
from tannoy.node.admission.rate_limits import AHEAD, SessionRates
from tannoy.shared.rates import NO_LIMIT, Rate

from tests.support.client_driver import ClientDriver, connect_to_room
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import UnitNode

COMMANDS = SessionRates(NO_LIMIT, Rate(50), NO_LIMIT)
MESSAGES = SessionRates(Rate(50), NO_LIMIT, NO_LIMIT)


def _send_pings(client: ClientDriver, count: int) -> None:
    for number in range(count):
        client.send(type="ping", id=number)


@on_manual_time
async def test_commands_beyond_what_the_rate_allows_in_the_long_run_are_handled_one_in_a_turn_in_order() -> None:
    client = ClientDriver(UnitNode(rates=COMMANDS))
    client.received()
    _send_pings(client, AHEAD + 4)
    assert len(client.received()) == AHEAD + 1
    await turns(1)
    assert [frame["id"] for frame in client.received()] == [AHEAD + 1]
    await turns(1)
    assert [frame["id"] for frame in client.received()] == [AHEAD + 2]
    await turns(1)
    assert [frame["id"] for frame in client.received()] == [AHEAD + 3]


@on_manual_time
async def test_messages_beyond_it_are_published_one_in_a_turn() -> None:
    client = await connect_to_room(UnitNode(rates=MESSAGES))
    for number in range(AHEAD + 3):
        client.send(type="message", content=number)
    assert len(client.published) == AHEAD + 1
    await turns(2)
    assert [frame["content"] for frame in client.published] == list(range(AHEAD + 3))


@on_manual_time
async def test_a_session_that_keeps_to_its_rate_is_handled_at_once() -> None:
    node = UnitNode(rates=COMMANDS)
    client = ClientDriver(node)
    client.received()
    for _ in range(3):
        _send_pings(client, AHEAD)
        assert len(client.received()) == AHEAD
        node.clock.advance(1.0)


@pytest.mark.parametrize("rates", [None, SessionRates(NO_LIMIT, NO_LIMIT, NO_LIMIT)], ids=["none", "no limit"])
@on_manual_time
async def test_without_rates_all_is_handled_at_once(rates: SessionRates | None) -> None:
    client = ClientDriver(UnitNode(rates=rates))
    client.received()
    _send_pings(client, 10 * AHEAD)
    assert len(client.received()) == 10 * AHEAD


@on_manual_time
async def test_what_waits_of_a_session_that_has_ended_is_not_handled() -> None:
    client = ClientDriver(UnitNode(rates=COMMANDS))
    client.received()
    _send_pings(client, AHEAD + 4)
    client.received()
    client.connection.on_closed()
    await turns(3)
    assert client.received() == []
