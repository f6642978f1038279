"""A connection that was accepted without a token: its first frame brings one, or it is closed."""

import asyncio
from typing import Any

import pytest
from tannoy.node.admission.handshake import AwaitsToken
from tannoy.node.admission.handshake_queue import HandshakeQueue
from tannoy.node.admission.loop_shares import SHARE_PIECES
from tannoy.node.admission.other_connections import OtherConnections
from tannoy.node.admission.target import Target
from tannoy.node.auth.token_problems import TokenProblem, TokenRefused
from tannoy.node.connections.timers import TimerWheel
from tannoy.node.connections.unidentified import AUTH_DEADLINE, FRAMES_MAX, UnidentifiedConnection
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.node.transports.base import CLOSE_DEADLINE, ClientTransport, TransportListener
from tannoy.shared.codes import CloseCode, ErrorCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.protocol.codec import JSON
from tannoy.shared.protocol.frames import Author

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.recording_transport import RecordingTransport

DECISION = AwaitsToken(Target(Endpoint.ROOMS, None, {}), JSON, None, None, "203.0.113.1")
ADA = Author(UserId("ada"), "Ada", SessionId("s1"))
BYE_BAD_TOKEN = {"type": "bye", "code": 4501, "reason": "bad token", "reconnect": False}
AUTH = {"type": "auth", "token": "good"}


class NextListener(UnidentifiedConnection):
    """What takes the place at the transport; it records what it is called with."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_opened(self) -> None:
        self.calls.append("opened")

    def on_message(self, payload: bytes, binary: bool) -> None:
        self.calls.append(payload.decode())


class UnidentifiedDriver:
    """An unidentified connection, opened; the token `good` is ada's, and all others are refused."""

    def __init__(self, others: OtherConnections | None = None) -> None:
        self.transport, self.wheel = RecordingTransport(), TimerWheel(manual_clock())
        self.others = others or OtherConnections(manual_clock())
        self.join_wait = 0.0
        self.handshakes = HandshakeQueue(manual_clock(), lambda: self.join_wait)
        self.next = NextListener()
        self.recorded: list[tuple[ErrorCode, CloseCode]] = []
        self.connection = UnidentifiedConnection(
            self.transport,
            DECISION,
            self.wheel,
            self.others,
            self.handshakes,
            identify=self._identify,
            connect=self._connect,
            record=lambda decision, refusal, code: self.recorded.append((refusal.code, code)),
        )
        self.transport.listener = self.connection
        self.connection.on_opened()

    def _identify(self, decision: AwaitsToken, token: str) -> Session:
        if token == "busy":
            raise Unavailable("the node is full", retry_after=1.5)
        if token != "good":
            problem = TokenProblem.EXPIRED if token == "old" else TokenProblem.BAD_SIGNATURE
            raise TokenRefused(problem, "no good")
        return Session(decision.target.endpoint, ADA, None, Keyspace("tannoy"))

    def _connect(self, transport: ClientTransport, decision: AwaitsToken, session: Session) -> TransportListener:
        assert session.author == ADA
        return self.next

    def send(self, **fields: Any) -> None:
        """As the transport does: to its present listener."""
        assert self.transport.listener is not None
        self.transport.listener.on_message(JSON.encode(fields), False)


@on_manual_time
async def test_the_connection_is_accepted_and_nothing_is_sent_before_the_token() -> None:
    driver = UnidentifiedDriver()
    assert (driver.transport.is_accepted, driver.transport.take()) == (True, [])
    assert driver.others.statistics().open == 1


@on_manual_time
async def test_the_first_frame_with_a_token_hands_the_transport_to_the_session() -> None:
    driver = UnidentifiedDriver()
    driver.send(**AUTH, id=1)
    driver.send(type="ping")
    assert driver.transport.take() == [{"type": "ok", "id": 1}]
    assert driver.next.calls == ["opened", '{"type":"ping"}']
    assert (driver.others.statistics().open, driver.wheel.idle.is_set()) == (0, True)


@on_manual_time
async def test_auth_without_an_id_is_not_answered() -> None:
    driver = UnidentifiedDriver()
    driver.send(**AUTH)
    assert (driver.transport.take(), driver.next.calls) == ([], ["opened"])


@pytest.mark.parametrize(
    ("token", "error", "bye"),
    [
        ("bad", {"code": "bad_token", "message": "no good"}, BYE_BAD_TOKEN),
        (
            "old",
            {"code": "token_expired", "message": "no good"},
            {"type": "bye", "code": 4401, "reason": "token expired", "reconnect": True},
        ),
    ],
)
def test_a_token_that_is_refused_is_answered_and_the_connection_closed(
    token: str, error: dict[str, object], bye: dict[str, object]
) -> None:
    @on_manual_time
    async def run() -> None:
        driver = UnidentifiedDriver()
        driver.send(type="auth", token=token, id="a")
        assert driver.transport.take() == [{"type": "error", "id": "a", **error}, bye]
        assert driver.transport.closed_with == (bye["code"], bye["reason"])
        assert driver.recorded == [(error["code"], bye["code"])]

    run()


@on_manual_time
async def test_a_client_that_a_full_node_turns_away_is_told_to_come_back() -> None:
    driver = UnidentifiedDriver()
    driver.send(type="auth", token="busy")
    error, bye = driver.transport.take()
    assert (error["code"], bye["code"], bye["reconnect"], bye["retry_after"]) == ("unavailable", 1013, True, 1.5)


@pytest.mark.parametrize("frame", [b'{"type":"ping","id":1}', b'{"type":"join","room":"a","id":1}'], ids=str)
def test_another_first_frame_closes_the_connection(frame: bytes) -> None:
    @on_manual_time
    async def run() -> None:
        driver = UnidentifiedDriver()
        driver.connection.on_message(frame, False)
        error, bye = driver.transport.take()
        assert (error["code"], error["id"], bye) == ("bad_request", 1, BYE_BAD_TOKEN)
        assert "the first frame has to be auth" in error["message"]
        assert driver.recorded == [(ErrorCode.BAD_REQUEST, CloseCode.BAD_TOKEN)]

    run()


@on_manual_time
async def test_a_malformed_first_frame_closes_the_connection() -> None:
    driver = UnidentifiedDriver()
    driver.connection.on_message(b"{", False)
    assert [frame["type"] for frame in driver.transport.take()] == ["error", "bye"]


@on_manual_time
async def test_without_a_first_frame_the_connection_is_closed_after_the_deadline() -> None:
    driver = UnidentifiedDriver()
    await asyncio.sleep(AUTH_DEADLINE - 0.5)
    assert driver.transport.take() == []
    await asyncio.sleep(1)
    error, bye = driver.transport.take()
    assert (error["code"], bye) == ("bad_token", BYE_BAD_TOKEN)
    assert driver.recorded == [(ErrorCode.BAD_TOKEN, CloseCode.BAD_TOKEN)]
    await asyncio.sleep(CLOSE_DEADLINE + 1)
    assert driver.transport.aborted


@on_manual_time
async def test_frames_behind_a_refusal_are_ignored() -> None:
    driver = UnidentifiedDriver()
    driver.send(type="auth", token="bad")
    driver.transport.take()
    driver.send(**AUTH)
    driver.connection.on_ping(b"x")
    assert (driver.transport.take(), driver.next.calls) == ([], [])


@on_manual_time
async def test_pings_are_answered_and_too_many_frames_are_not() -> None:
    driver = UnidentifiedDriver()
    driver.connection.on_ping(b"x")
    assert len(driver.transport.writes) == 1
    assert driver.connection.charge_frames(FRAMES_MAX)
    assert not driver.connection.charge_frames(1)
    driver.connection.on_violation(4505, "too many frames")
    assert driver.transport.closed_with is not None
    assert driver.transport.closed_with[0] == 4505


@on_manual_time
async def test_a_client_that_has_gone_leaves_no_deadline_behind() -> None:
    driver = UnidentifiedDriver()
    driver.connection.on_closed()
    assert (driver.others.statistics().open, driver.wheel.idle.is_set()) == (0, True)


@on_manual_time
async def test_without_a_place_the_connection_is_aborted() -> None:
    driver = UnidentifiedDriver(OtherConnections(manual_clock(), maximum=0))
    assert driver.transport.aborted


@on_manual_time
async def test_clients_of_one_address_that_send_no_token_are_bounded_by_it() -> None:
    others = OtherConnections(manual_clock(), address_maximum=1)
    drivers = [UnidentifiedDriver(others) for _ in range(2)]
    assert [driver.transport.aborted for driver in drivers] == [False, True]
    assert others.statistics().addresses == 1


@on_manual_time
async def test_tokens_that_come_at_once_are_looked_at_in_turns() -> None:
    driver = UnidentifiedDriver()
    for number in range(SHARE_PIECES):
        driver.handshakes.run(number, lambda: None)
    driver.send(**AUTH, id=1)
    assert (driver.transport.take(), driver.transport.reading) == ([], False)

    await turns(2)
    assert driver.next.calls == ["opened"]
    assert driver.transport.reading


@on_manual_time
async def test_while_too_many_clients_wait_a_token_is_refused_with_a_time_to_come_back() -> None:
    driver = UnidentifiedDriver()
    driver.join_wait = 5.0
    driver.send(**AUTH, id=1)
    error, bye = driver.transport.take()
    assert (error["code"], bye["code"]) == ("unavailable", 1013)
    assert bye["retry_after"] == error["retry_after"] >= 1


@on_manual_time
async def test_a_client_that_leaves_while_its_token_waits_is_not_identified() -> None:
    driver = UnidentifiedDriver()
    for number in range(SHARE_PIECES):
        driver.handshakes.run(number, lambda: None)
    driver.send(**AUTH, id=1)
    driver.connection.on_closed()
    await turns(2)
    assert driver.next.calls == []
    assert (driver.others.statistics().open, driver.wheel.idle.is_set()) == (0, True)
