"""Control messages between nodes: their bytes."""

import msgpack
import pytest
from tannoy.fanout.control.codec import pack_message, unpack_message
from tannoy.fanout.control.requests import (
    CloseSessions,
    ControlMessage,
    DeliverReported,
    DeliverToSession,
    DeliverToUser,
    Drain,
    Draining,
    Evict,
    LeaseGranted,
    ListOnline,
    ListSessions,
    ReportDelivery,
    Response,
    RevocationChanged,
    SurveyAnswer,
)
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.names import AgentId, SessionId, UserId
from tannoy.shared.online import OnlineUser, OnlineUsers
from tannoy.shared.publication import EncodedMessage
from tannoy.shared.reports import SocketOutcome
from tannoy.shared.revocations import Revocation, RevocationKind

from tests.support.records import session_info

ENCODED = EncodedMessage(b'{"a":1}', b"\x81\xa1a\x01")

MESSAGES: list[ControlMessage] = [
    DeliverToUser(1, b"tannoy:node:i1", UserId("ada"), ENCODED),
    DeliverToSession(2**40, b"tannoy:node:i1", AgentId("42"), SessionId("s1"), ENCODED),
    Response(3, 0),
    Response(3, 1, (session_info("s1"),)),
    CloseSessions(4, b"tannoy:node:i1", Owner(OwnerKind.AGENT, "42"), None),
    CloseSessions(4, b"tannoy:node:i1", Owner(OwnerKind.USER, "ada"), SessionId("s1")),
    ListSessions(5, b"tannoy:node:i1", UserId("ada")),
    ReportDelivery(6, b"tannoy:node:i1", b"tannoy:room:lobby", "token"),
    DeliverReported(7, b"tannoy:node:i1", DeliverToUser(0, b"", UserId("ada"), ENCODED)),
    DeliverReported(7, b"tannoy:node:i1", DeliverToSession(0, b"", AgentId("42"), SessionId("s1"), ENCODED)),
    Drain(9, b"tannoy:node:i1"),
    SurveyAnswer(9, "i1", Draining()),
    ListOnline(8, b"tannoy:node:i1", "ada", 100),
    SurveyAnswer(8, "i1", SocketOutcome(3, 2, 1, ("s1",))),
    SurveyAnswer(8, "i1", OnlineUsers((OnlineUser("ada", "Ada", "2026-11-18T11:06:40.123Z", 2),), more=True)),
    Evict(Owner(OwnerKind.AGENT, "42"), "i1|7|s1", CloseCode.EVICTED, 10, "s2"),
    LeaseGranted(Owner(OwnerKind.USER, "ada"), "i1|7|42/s1"),
    RevocationChanged(Revocation(RevocationKind.TOKEN, "a|b", 1_800_000_000, 1, 2), b"", b"2|2"),
]
every_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)


@every_message
def test_a_control_message_is_the_same_after_packing_and_unpacking(message: ControlMessage) -> None:
    assert unpack_message(pack_message(message)) == message


@every_message
def test_a_truncated_control_message_is_malformed(message: ControlMessage) -> None:
    packed = pack_message(message)
    for length in range(len(packed)):
        with pytest.raises(MalformedBytes):
            unpack_message(packed[:length])


def test_every_kind_of_control_message_is_in_the_table() -> None:
    assert {type(message) for message in MESSAGES} == set(ControlMessage.__args__)


MALFORMED: list[tuple[object, ...]] = [
    ("evict", "planet", "42", "i1|7|s1", 4500, 10, "s2"),
    ("evict", "agent", "42", "i1|7|s1", 4999, 10, "s2"),
    ("evict", "agent", "42", "i1|7|s1", 4500, 10),
    ("granted", "planet", "42", "i1|7|s1"),
    ("granted", "agent", 42, "i1|7|s1"),
    ("close", 1, b"i1", "planet", "42", None),
    ("close", 1, b"i1", "agent", "42", 7),
    ("list", 1, b"i1"),
    ("delivered", 1, 1, None),
    ("report", 1, b"i1", b"tannoy:room:lobby", b"t"),
    ("reported", 1, b"i1", msgpack.packb(("list", 1, b"i1", "ada"))),
    ("reported", 1, b"i1", b""),
    ("answer", ["outcome", [1, 2, 3]], 1, "i1"),
    ("answer", ["dance"], 1, "i1"),
    ("answer", ["users", [["ada", "Ada", 1, 2]], True], 1, "i1"),
    ("revocation", b"1|2|revoked|1|user|a b", b"", b"2|2"),
    ("revocation", b"1|2|revoked|1|user|ada", b""),
    ("dance",),
]


@pytest.mark.parametrize("parts", MALFORMED, ids=str)
def test_a_control_message_that_no_node_writes_is_malformed(parts: tuple[object, ...]) -> None:
    with pytest.raises(MalformedBytes):
        unpack_message(msgpack.packb(parts))
