"""How a node that ends closes its sessions."""

import asyncio

from tannoy.node.lifecycle.drain import CLOSE_TIMEOUT, RETRY_WITHIN, drain_sessions
from tannoy.shared.codes import CloseCode

from tests.support.clock import manual_clock, on_manual_time


class RecordingSession:
    """A session that records how it was closed."""

    def __init__(self) -> None:
        self.closed_with: list[tuple[CloseCode, float | None]] = []

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        self.closed_with.append((code, retry_after))


@on_manual_time
async def test_drained_sessions_are_closed_with_4001_and_spread_their_reconnects() -> None:
    sessions, all_closed = [RecordingSession() for _ in range(50)], asyncio.Event()
    all_closed.set()
    assert await drain_sessions(sessions, all_closed)
    codes = {code for session in sessions for code, _ in session.closed_with}
    waits = [wait for session in sessions for _, wait in session.closed_with]
    assert codes == {CloseCode.DRAINING}
    assert len(waits) == 50
    assert all(wait is not None and 0 <= wait <= RETRY_WITHIN for wait in waits)
    assert len(set(waits)) > 10


@on_manual_time
async def test_drain_waits_until_all_sockets_are_closed() -> None:
    all_closed, before = asyncio.Event(), manual_clock().monotonic()
    asyncio.get_running_loop().call_later(CLOSE_TIMEOUT / 2, all_closed.set)
    assert await drain_sessions([], all_closed)
    assert manual_clock().monotonic() - before >= CLOSE_TIMEOUT / 2


@on_manual_time
async def test_drain_does_not_wait_longer_than_its_timeout_for_clients_that_do_not_answer() -> None:
    before = manual_clock().monotonic()
    assert not await drain_sessions([RecordingSession()], asyncio.Event())
    assert manual_clock().monotonic() - before <= CLOSE_TIMEOUT + 0.1
