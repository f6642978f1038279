"""A connection whose client the application decides on: what waits, what is refused, and what is bounded."""

import asyncio

import pytest
from tannoy import LiveSession
from tannoy.node.admission.handshake import HostRequest
from tannoy.node.admission.other_connections import OtherConnections
from tannoy.node.admission.refusals import Reason
from tannoy.node.connections.inbound import WAITING_MAX
from tannoy.node.connections.pending import FRAMES_MAX, Decided, PendingConnection
from tannoy.node.connections.timers import TimerWheel
from tannoy.node.connections.unidentified import UnidentifiedConnection
from tannoy.node.hooks.errors import Forbidden, HookFailed, HookLate, NotAuthenticated
from tannoy.node.protocols.encoding import encoding_of
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.node.transports.base import CLOSE_DEADLINE
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Refused
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.protocol.codec import JSON
from tannoy.shared.protocol.frames import Author

from tests.support.clock import loop_errors, manual_clock, on_manual_time, turns
from tests.support.recording_transport import RecordingTransport
from tests.support.unit_node import KEYSPACE

ADA = Author(UserId("ada"), "Ada", SessionId("s1"))
SESSION = Session(Endpoint.ROOMS, ADA, None, KEYSPACE)


class NextListener(UnidentifiedConnection):
    """What takes the place at the transport; it records what it is called with, and what the transport did then."""

    def __init__(self, transport: RecordingTransport) -> None:
        self.calls: list[str] = []
        self._transport = transport

    def on_opened(self) -> None:
        self.calls.append("opened")

    def on_message(self, payload: bytes, binary: bool) -> None:
        self.calls.append(payload.decode())


class PendingDriver:
    """A pending connection, opened; the test decides by `decision`."""

    def __init__(self, others: OtherConnections | None = None) -> None:
        self.transport, self.wheel = RecordingTransport(), TimerWheel(manual_clock())
        self.others = others or OtherConnections(manual_clock())
        self.next = NextListener(self.transport)
        self.decision: asyncio.Future[Decided] = asyncio.get_running_loop().create_future()
        self.recorded: list[tuple[Reason, CloseCode]] = []
        self.decisions: set[asyncio.Task[None]] = set()
        self.request = HostRequest({})
        self.connection = PendingConnection(
            self.transport,
            encoding_of(JSON, self.transport.framing),
            self.wheel,
            self.others,
            address=None,
            is_accepted=False,
            decide=self._decide,
            connect=lambda decided: self.next,
            record=lambda reason, code, refusal: self.recorded.append((reason, code)),
            decisions=self.decisions,
            request=self.request,
        )
        self.transport.listener = self.connection
        self.connection.on_opened()

    async def _decide(self) -> Decided:
        return await self.decision

    async def admit(self) -> None:
        await turns()
        self.decision.set_result(Decided(SESSION, LiveSession(SESSION, None, None)))
        await turns()

    async def refuse(self, refusal: Exception) -> None:
        await turns()
        self.decision.set_exception(refusal)
        await turns()

    def send(self, text: str) -> None:
        """As the transport does: to its present listener."""
        assert self.transport.listener is not None
        self.transport.listener.on_message(text.encode(), False)


@on_manual_time
async def test_the_client_is_accepted_at_once_and_what_it_sends_waits_for_the_decision() -> None:
    driver = PendingDriver()
    driver.send("first")
    driver.send("second")
    assert (driver.transport.is_accepted, driver.next.calls) == (True, [])

    await driver.admit()
    driver.send("third")

    assert driver.next.calls == ["opened", "first", "second", "third"]
    assert (driver.others.statistics().open, driver.decisions) == (0, set())


@on_manual_time
async def test_beyond_what_may_wait_the_transport_stops_reading_until_the_decision() -> None:
    driver = PendingDriver()
    for number in range(WAITING_MAX):
        assert driver.transport.reading
        driver.send(str(number))
    assert not driver.transport.reading

    await driver.admit()

    assert driver.transport.reading


@pytest.mark.parametrize(
    ("refusal", "reason", "error", "code"),
    [
        (NotAuthenticated(), Reason.NOT_AUTHENTICATED, "bad_token", CloseCode.BAD_TOKEN),
        (Forbidden("no"), Reason.FORBIDDEN, "forbidden", CloseCode.FORBIDDEN),
        (HookFailed("authenticate"), Reason.HOOK, "internal", CloseCode.INTERNAL),
        (HookLate("authenticate", 5.0), Reason.HOOK, "unavailable", CloseCode.TRY_AGAIN_LATER),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_is_told_recorded_and_closed_with_its_code(
    refusal: Refused, reason: Reason, error: str, code: CloseCode
) -> None:
    @on_manual_time
    async def check() -> None:
        driver = PendingDriver()
        await driver.refuse(refusal)
        driver.send("ignored")

        told, bye = driver.transport.objects
        assert (told["type"], told["code"], bye["type"], bye["code"]) == ("error", error, "bye", code)
        assert bye.get("retry_after") == refusal.retry_after
        assert (driver.recorded, driver.next.calls) == ([(reason, code)], [])
        await asyncio.sleep(CLOSE_DEADLINE + 1)
        assert driver.transport.aborted, "a peer that does not answer the close frame is cut off"

    check()


@on_manual_time
async def test_a_fault_of_ours_closes_with_1011_and_is_logged() -> None:
    driver = PendingDriver()
    await driver.refuse(RuntimeError("a fault of ours"))

    assert driver.transport.objects[-1]["code"] == CloseCode.INTERNAL
    (task,) = [driver.request.decision]
    assert task is not None
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await task
    assert loop_errors() == []


@on_manual_time
async def test_a_client_that_is_gone_ends_the_decision_and_gives_its_place_back() -> None:
    driver = PendingDriver()
    await turns()

    driver.connection.on_closed()
    await turns()

    assert driver.decision.cancelled()
    assert (driver.others.statistics().open, driver.next.calls, driver.decisions) == (0, [], set())


@on_manual_time
async def test_a_client_without_a_place_is_cut_off_and_nobody_is_asked() -> None:
    driver = PendingDriver(OtherConnections(manual_clock(), maximum=0))

    assert (driver.transport.aborted, driver.decisions) == (True, set())


@on_manual_time
async def test_no_newcomer_takes_the_place_of_one_that_waits_for_the_application() -> None:
    driver = PendingDriver(OtherConnections(manual_clock(), maximum=1))
    await asyncio.sleep(60)

    assert not driver.others.add(driver.next)
    assert not driver.transport.aborted


@on_manual_time
async def test_a_client_that_sends_too_many_frames_meanwhile_is_closed() -> None:
    driver = PendingDriver()
    await turns()

    assert driver.connection.charge_frames(FRAMES_MAX)
    assert not driver.connection.charge_frames(1)
    driver.connection.on_violation(CloseCode.BAD_FRAMES, "too many")

    assert driver.transport.objects[-1]["code"] == CloseCode.BAD_FRAMES
    await turns()
    assert driver.decision.cancelled()


@on_manual_time
async def test_a_ping_is_answered_meanwhile() -> None:
    driver = PendingDriver()

    driver.connection.on_ping(b"x")

    assert driver.transport.writes == [b"\x8a\x01x"]
