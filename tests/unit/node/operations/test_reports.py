"""Publishing with a report, over a scripted publisher and control messages."""

import asyncio

import pytest
from tannoy.fanout.control.codec import pack_message, unpack_message
from tannoy.fanout.control.requests import ControlMessage, ReportDelivery, SurveyAnswer
from tannoy.fanout.control.sealing import ControlSealer
from tannoy.fanout.history.publisher import Published
from tannoy.node.operations.publishing import Publishing
from tannoy.node.operations.reports import ReportedPublishing
from tannoy.shared.errors import Unavailable
from tannoy.shared.nodes import NodeInfo
from tannoy.shared.protocol.frames import Author
from tannoy.shared.publication import Position
from tannoy.shared.reports import DeliveryReport, SocketOutcome, split_mark

from tests.support.clock import on_manual_time, turns
from tests.support.records import NODE
from tests.support.unit_node import KEYSPACE, ROOM, UnitNode

BACK_END = Author(None, None, None)


def reported(node: UnitNode) -> ReportedPublishing:
    async def list_nodes() -> list[NodeInfo]:
        return [NODE]

    publishing = Publishing(node.publisher, node.control, node.clock)
    return ReportedPublishing(publishing, node.control.surveys, list_nodes)


def control_message(node: UnitNode) -> ControlMessage:
    channel, payload, _ = node.publisher.sent[-1]
    return unpack_message(ControlSealer(b"", node.clock).open(channel, payload))


@on_manual_time
async def test_a_message_carries_the_token_that_the_nodes_are_asked_for() -> None:
    node = UnitNode()
    asked = asyncio.create_task(reported(node).publish(ROOM, BACK_END, 1, key="k", exclude="s9"))
    await turns()
    exclude, token = split_mark(node.publisher.published[0].exclude)
    node.publisher.confirmations[0].set_result(Published(Position("e", 7), is_repeated=False))
    await turns()
    survey = control_message(node)
    assert isinstance(survey, ReportDelivery)
    assert (exclude, survey.token, survey.address) == ("s9", token, ROOM.address)
    answer = SurveyAnswer(survey.request, NODE.incarnation, SocketOutcome(written=2))
    channel = KEYSPACE.node("me")
    node.control.handle_message(channel, ControlSealer(b"", node.clock).seal(channel, pack_message(answer)))
    assert await asked == (Position("e", 7), DeliveryReport({NODE.incarnation: SocketOutcome(written=2)}))


@on_manual_time
async def test_a_message_that_is_published_is_no_error_although_no_node_can_be_asked() -> None:
    node = UnitNode()
    asked = asyncio.create_task(reported(node).publish(ROOM, BACK_END, 1))
    await turns()
    node.publisher.confirmations[0].set_result(Published(Position("e", 7), is_repeated=False))
    await turns()
    node.publisher.confirmations[1].set_exception(Unavailable("away"))
    assert await asked == (Position("e", 7), DeliveryReport({}, (NODE.node,)))


@on_manual_time
async def test_a_message_that_redis_did_not_confirm_is_unavailable() -> None:
    node = UnitNode()
    asked = asyncio.create_task(reported(node).publish(ROOM, BACK_END, 1))
    await turns()
    node.publisher.confirmations[0].set_exception(Unavailable("away"))
    with pytest.raises(Unavailable):
        await asked
    assert len(node.publisher.sent) == 1


@on_manual_time
async def test_a_repeated_key_asks_no_node() -> None:
    node = UnitNode()
    asked = asyncio.create_task(reported(node).publish(ROOM, BACK_END, 1, key="k"))
    await turns()
    node.publisher.confirmations[0].set_result(Published(Position("e", 7), is_repeated=True))
    assert await asked == (Position("e", 7), DeliveryReport({}))
    assert len(node.publisher.sent) == 1
