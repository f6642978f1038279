"""The end of a session whose token expires."""

import asyncio

from tannoy.node.connections.timers import TICK, TimerWheel
from tannoy.node.connections.token_expiry import LOOK_SECONDS, TokenExpiry
from tannoy.shared.codes import CloseCode

from tests.support.clock import manual_clock, on_manual_time


class RecordingConnection:
    def __init__(self) -> None:
        self.closed_with: list[CloseCode] = []

    def close(self, code: CloseCode) -> None:
        self.closed_with.append(code)


def started(seconds: float) -> tuple[RecordingConnection, TokenExpiry, TimerWheel]:
    """A token that expires in so many seconds."""
    clock = manual_clock()
    connection, wheel = RecordingConnection(), TimerWheel(clock)
    expiry = TokenExpiry(connection, wheel, clock)
    expiry.start(clock.now() + seconds)
    return connection, expiry, wheel


@on_manual_time
async def test_the_connection_is_closed_when_the_token_expires_and_not_before() -> None:
    for seconds in (0.0, 10.0, LOOK_SECONDS, 10 * LOOK_SECONDS + 1):
        connection, _, _ = started(seconds)
        if seconds:
            await asyncio.sleep(seconds - TICK)
            assert connection.closed_with == []
        await asyncio.sleep(4 * TICK)
        assert connection.closed_with == [CloseCode.TOKEN_EXPIRED]


@on_manual_time
async def test_another_token_takes_the_place_of_the_one_before() -> None:
    connection, expiry, _ = started(10)
    expiry.start(manual_clock().now() + 100)
    await asyncio.sleep(50)
    assert connection.closed_with == []
    await asyncio.sleep(60)
    assert connection.closed_with == [CloseCode.TOKEN_EXPIRED]


@on_manual_time
async def test_nothing_is_closed_after_a_stop() -> None:
    connection, expiry, wheel = started(10)
    expiry.stop()
    await asyncio.sleep(20)
    assert connection.closed_with == []
    assert wheel.idle.is_set()
