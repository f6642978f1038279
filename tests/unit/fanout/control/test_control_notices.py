"""Errands between nodes: one node is sent, runs it, and does not answer."""

import pytest
from tannoy.fanout.control.codec import pack_message, unpack_message
from tannoy.fanout.control.requests import Evict, LeaseGranted, Notice
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Unavailable

from tests.support.clock import on_manual_time, turns
from tests.unit.fanout.control.test_control import KEYSPACE, OWNER, SECRET, Desk

EVICT = Evict(OWNER, "other|1|s1", CloseCode.EVICTED, 3, "s2")
GRANTED = LeaseGranted(OWNER, "other|1|s1")


@pytest.mark.parametrize("errand", [EVICT, GRANTED], ids=lambda errand: type(errand).__name__)
@on_manual_time
async def test_an_errand_goes_to_one_node_alone(errand: Notice) -> None:
    desk = Desk()
    desk.control.send_notice("other", errand)
    ((address, payload, _),) = desk.publisher.sent
    assert (address, unpack_message(payload, SECRET)) == (KEYSPACE.node("other"), errand)


@on_manual_time
async def test_an_errand_to_itself_does_not_take_the_bus_and_is_not_run_in_the_midst_of_what_asked_for_it() -> None:
    desk = Desk()
    desk.control.send_notice("me", GRANTED)
    assert desk.notices == []
    await turns()
    assert desk.notices == [GRANTED]
    assert desk.publisher.sent == []


@pytest.mark.parametrize("errand", [EVICT, GRANTED], ids=lambda errand: type(errand).__name__)
@on_manual_time
async def test_an_errand_of_another_node_is_run_and_not_answered(errand: Notice) -> None:
    desk = Desk(sessions=1)
    desk.control.handle_message(pack_message(errand, SECRET))
    assert desk.notices == [errand]
    assert (desk.asked, desk.publisher.sent) == ([], [])


@on_manual_time
async def test_an_errand_that_can_not_be_sent_is_no_failure_of_the_node() -> None:
    desk = Desk()
    desk.control.send_notice("other", GRANTED)
    desk.publisher.confirmations[-1].set_exception(Unavailable("no bus"))
    await turns()
