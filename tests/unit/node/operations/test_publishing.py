"""The publish operations, over a scripted publisher and control messages."""

import json
from typing import Any

from tannoy.fanout.control.codec import unpack_message
from tannoy.fanout.control.requests import ControlMessage, DeliverToSession, DeliverToUser
from tannoy.fanout.control.sealing import ControlSealer
from tannoy.node.operations.publishing import Publishing
from tannoy.shared.clock import rfc3339
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.protocol.frames import Author
from tannoy.shared.publication import EncodedMessage, Position

from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import AGENT, ROOM, UnitNode

ADA = Author(UserId("ada"), "Ada", SessionId("s1"))
BACK_END = Author(None, None, None)


def publishing(node: UnitNode) -> Publishing:
    return Publishing(node.publisher, node.control, node.clock)


def published(node: UnitNode) -> dict[str, Any]:
    (publication,) = node.publisher.published
    frame: dict[str, Any] = json.loads(publication.encoded.json)
    return frame


def sent_order(node: UnitNode) -> ControlMessage:
    ((channel, payload, _),) = node.publisher.sent
    return unpack_message(ControlSealer(b"", node.clock).open(channel, payload))


@on_manual_time
async def test_published_message_names_its_author_and_time() -> None:
    node = UnitNode()
    publishing(node).publish(ROOM, ADA, {"deep": [1]})
    assert published(node) == {
        "type": "message",
        "room": "lobby",
        "user_id": "ada",
        "username": "Ada",
        "session_id": "s1",
        "content": {"deep": [1]},
        "timestamp": rfc3339(node.clock.now()),
    }


@on_manual_time
async def test_publish_passes_key_and_excluded_session_on() -> None:
    node = UnitNode()
    publishing(node).publish(AGENT, BACK_END, 1, key="k", exclude="s9")
    ((address, _, key),) = node.publisher.sent
    assert (address, key, node.publisher.published[0].exclude) == (AGENT.address, "k", "s9")


@on_manual_time
async def test_result_of_publish_is_the_position_that_redis_confirms() -> None:
    node = UnitNode()
    confirmed = publishing(node).publish(ROOM, ADA, 1)
    node.publisher.confirmations[0].set_result(Position("e", 7))
    assert await confirmed == Position("e", 7)


@on_manual_time
async def test_published_typing_excludes_the_session_that_types() -> None:
    node = UnitNode()
    publishing(node).publish_typing(ROOM, UserId("ada"), "Ada", exclude="s1")
    assert published(node) == {"type": "typing", "room": "lobby", "user_id": "ada", "username": "Ada"}
    assert node.publisher.published[0].exclude == "s1"


@on_manual_time
async def test_message_to_a_user_goes_to_all_nodes_as_a_private_frame() -> None:
    node = UnitNode()
    publishing(node).send_to_user(UserId("bob"), ADA, "psst")
    order = sent_order(node)
    assert isinstance(order, DeliverToUser)
    assert (order.user_id, json.loads(order.encoded.json)["type"]) == ("bob", "private")


@on_manual_time
async def test_message_to_a_session_goes_to_all_nodes_as_a_message_of_its_agent() -> None:
    node = UnitNode()
    publishing(node).send_to_session(AGENT, SessionId("s2"), BACK_END, "hi")
    order = sent_order(node)
    assert isinstance(order, DeliverToSession)
    assert isinstance(order.encoded, EncodedMessage)
    frame = json.loads(order.encoded.json)
    assert (order.agent_id, order.session_id, frame["agent_id"], frame["user_id"]) == ("42", "s2", "42", None)
    await turns()
