"""The rates of a session: what is beyond them is refused, has no effect, and in the end closes the connection."""

import pytest
from structlog.testing import capture_logs
from tannoy.node.admission.owner_rates import OwnerRates
from tannoy.node.admission.rate_limits import SessionRates
from tannoy.node.protocols.session import Endpoint
from tannoy.node.rfc6455 import Opcode
from tannoy.shared.channels import OwnerKind
from tannoy.shared.codes import CloseCode
from tannoy.shared.protocol.codec import WireFormat
from tannoy.shared.rates import NO_LIMIT, Rate

from tests.support.client_driver import ClientDriver, both_wire_formats, connect_to_agent, connect_to_room
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import UnitNode

FEW_MESSAGES = SessionRates(Rate(1), NO_LIMIT, NO_LIMIT)
FEW_COMMANDS = SessionRates(NO_LIMIT, Rate(1), NO_LIMIT)
AT_ONCE = 5


def limited(wire: WireFormat | None = None) -> tuple[UnitNode, ClientDriver]:
    node = UnitNode(rates=FEW_COMMANDS)
    client = ClientDriver(node) if wire is None else ClientDriver(node, wire=wire)
    client.received()
    return node, client


@both_wire_formats
@pytest.mark.parametrize("id", [7, None], ids=["with an id", "without an id"])
@on_manual_time
async def test_a_command_beyond_the_rate_is_answered_with_rate_limited_and_the_time_to_wait(
    wire: WireFormat, id: int | None
) -> None:
    _, client = limited(wire)
    fields = {} if id is None else {"id": id}
    for _ in range(AT_ONCE + 1):
        client.send(type="ping", **fields)
    answers = client.received()

    assert [answer["type"] for answer in answers] == ["pong"] * AT_ONCE + ["error"]
    message = "too many commands: 1/s are allowed"
    assert answers[-1] == {"type": "error", **fields, "code": "rate_limited", "message": message, "retry_after": 1.0}


@on_manual_time
async def test_a_message_beyond_the_rate_has_no_effect_and_other_commands_have() -> None:
    node = UnitNode(rates=FEW_MESSAGES)
    client = await connect_to_room(node)
    for number in range(AT_ONCE + 2):
        client.send(type="message", content=number, id=number)
    client.send(type="ping", id=100)

    assert [frame["content"] for frame in client.published] == list(range(AT_ONCE))
    assert [(frame["type"], frame["id"]) for frame in client.received()] == [("error", 5), ("error", 6), ("pong", 100)]


@pytest.mark.parametrize(
    "fields", [{"type": "private", "to": "bob", "content": 1}, {"type": "typing"}], ids=["private", "typing"]
)
@on_manual_time
async def test_private_messages_and_typing_count_as_messages(fields: dict[str, object]) -> None:
    client = await connect_to_room(UnitNode(rates=FEW_MESSAGES))
    for _ in range(AT_ONCE):
        client.send(type="message", content=1)
    client.send(**fields)

    assert [frame["code"] for frame in client.received()] == ["rate_limited"]


@on_manual_time
async def test_a_client_that_waits_as_long_as_it_was_told_is_served_again() -> None:
    node, client = limited()
    for _ in range(AT_ONCE + 1):
        client.send(type="ping")
    node.clock.advance(client.received()[-1]["retry_after"])
    client.send(type="ping")

    assert [frame["type"] for frame in client.received()] == ["pong"]


@on_manual_time
async def test_pongs_are_free() -> None:
    _, client = limited()
    for _ in range(1000):
        client.send(type="pong")

    assert client.received() == []
    assert client.connection.is_open


@on_manual_time
async def test_ping_frames_count_as_commands_and_get_no_pong_frame_beyond_the_rate() -> None:
    _, client = limited()
    for _ in range(AT_ONCE + 1):
        client.connection.on_ping(b"x")

    assert client.opcodes[-AT_ONCE - 1 :] == [Opcode.PONG] * AT_ONCE + [Opcode.TEXT]
    client.send(type="ping")
    assert [frame["code"] for frame in client.received() if frame["type"] == "error"] == ["rate_limited"] * 2


@on_manual_time
async def test_each_session_has_rates_of_its_own() -> None:
    node = UnitNode(rates=FEW_COMMANDS)
    first, second = ClientDriver(node, session_id="s1"), ClientDriver(node, session_id="s2")
    for _ in range(AT_ONCE):
        first.send(type="ping")
    second.received()
    second.send(type="ping")

    assert [frame["type"] for frame in second.received()] == ["pong"]


@on_manual_time
async def test_without_rates_nothing_is_refused() -> None:
    client = ClientDriver(UnitNode())
    client.received()
    for _ in range(1000):
        client.send(type="ping")
        client.connection.on_ping(b"")

    assert {frame["type"] for frame in client.received() if frame["type"] != "ping"} == {"pong"}


@on_manual_time
async def test_a_client_that_goes_on_is_closed_with_1013_and_a_time_to_wait() -> None:
    _, client = limited()
    for _ in range(AT_ONCE + 101):
        client.send(type="ping")
    *errors, bye = client.received()[AT_ONCE:]

    assert [error["code"] for error in errors] == ["rate_limited"] * 101
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", 1013, True)
    assert 5 <= bye["retry_after"] <= 10
    assert client.transport.closed_with is not None
    assert client.transport.closed_with[0] == CloseCode.TRY_AGAIN_LATER


@on_manual_time
async def test_what_waits_behind_a_join_is_refused_in_order_and_ends_with_the_close() -> None:
    node, client = limited()
    client.send(type="join", room="lobby", id=0)
    for number in range(1, 62):
        client.send(type="ping", id=number)
    assert client.received() == []
    await node.acknowledge()
    answers = client.received()

    assert [answer["id"] for answer in answers] == list(range(62))
    assert [answer["type"] for answer in answers] == ["ok", *["pong"] * 4, *["error"] * 57]


@on_manual_time
async def test_a_session_that_was_closed_for_its_rate_is_remembered_as_such() -> None:
    node = UnitNode(rates=FEW_COMMANDS)
    client = await connect_to_agent(node)
    for _ in range(AT_ONCE + 101):
        client.send(type="ping")
    await turns()

    assert set(node.remembered_disconnects()) == {(1013, "rate_limited", None)}


@on_manual_time
async def test_refusals_and_closes_are_counted() -> None:
    node, client = limited()
    for _ in range(AT_ONCE + 200):
        client.send(type="ping")
    counted = node.counters.statistics()

    assert (counted.rate_limited, counted.refused, counted.rate_closed) == (101, 101, 1)


@on_manual_time
async def test_the_first_refusal_of_a_session_and_its_close_are_logged_and_nothing_between() -> None:
    _, client = limited()
    with capture_logs() as lines:
        for _ in range(AT_ONCE + 200):
            client.send(type="ping")

    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "refusing what a client sends beyond a rate",
        "closing a client that goes on beyond a rate",
    ]
    assert {(line["user"], line["session"], line["refusal"]) for line in lines if line["log_level"] == "warning"} == {
        ("ada", "s1", "too many commands: 1/s are allowed")
    }


# ---- of users and agents


def owner_limits(**counts: int) -> UnitNode:
    """A node on which users and agents may send so many messages an hour, and five times as many at once."""
    rates = SessionRates(NO_LIMIT, NO_LIMIT, NO_LIMIT)
    return UnitNode(rates=rates, owner_rates=[OwnerRates(OwnerKind(kind), Rate(n, 3600)) for kind, n in counts.items()])


async def send_until_refused(client: ClientDriver) -> tuple[int, str]:
    """How many messages were published, and what the refusal says."""
    before = len(client.published)
    for number in range(30):
        client.send(type="message", content=number, id=number)
    answers = [frame for frame in client.received() if frame["type"] == "error"]
    assert {answer["code"] for answer in answers} == {"rate_limited"}
    return len(client.published) - before, answers[0]["message"]


@on_manual_time
async def test_the_messages_of_a_user_count_over_all_its_sessions() -> None:
    node = owner_limits(user=2)
    first, second = await connect_to_room(node), ClientDriver(node, session_id="s2")
    for number in range(7):
        first.send(type="message", content=number)
    second.received()
    for _ in range(4):
        second.send(type="private", to="bob", content=1)

    assert [(frame["code"], frame["message"]) for frame in second.received()] == [
        ("rate_limited", "too many messages of this user: 2/h are allowed")
    ]
    second.send(type="ping", id=1)
    assert second.received() == [{"type": "pong", "id": 1}]


@on_manual_time
async def test_the_messages_of_an_agent_count_over_all_its_sessions_and_users() -> None:
    node = owner_limits(agent=2)
    first = await connect_to_agent(node, "s1", "ada")
    second = await connect_to_agent(node, "s2", "bob")
    for number in range(7):
        first.send(type="message", content=number)

    assert await send_until_refused(second) == (3, "too many messages of this agent: 2/h are allowed")


@on_manual_time
async def test_a_session_in_rooms_has_no_rate_of_an_agent() -> None:
    client = await connect_to_room(owner_limits(agent=1))
    for number in range(10):
        client.send(type="message", content=number)

    assert len(client.published) == 10


@on_manual_time
async def test_what_is_refused_for_the_agent_counts_neither_for_the_user_nor_for_the_session() -> None:
    node = owner_limits(user=3, agent=2)
    agent = await connect_to_agent(node)
    assert (await send_until_refused(agent))[0] == 10
    room = ClientDriver(node, Endpoint.ROOM, session_id="s2")
    await node.acknowledge()
    room.received()

    assert await send_until_refused(room) == (5, "too many messages of this user: 3/h are allowed")


@on_manual_time
async def test_what_is_refused_for_the_user_counts_not_for_the_session() -> None:
    session = SessionRates(Rate(3, 3600), NO_LIMIT, NO_LIMIT)
    users = OwnerRates(OwnerKind.USER, Rate(2, 3600))
    node = UnitNode(rates=session, owner_rates=[users])
    client = await connect_to_room(node)
    assert await send_until_refused(client) == (10, "too many messages of this user: 2/h are allowed")
    users.collect_unsaid(node.clock.monotonic())
    users.restate({"ada": 0.0}, node.clock.monotonic())

    assert await send_until_refused(client) == (5, "too many messages: 3/h are allowed")
