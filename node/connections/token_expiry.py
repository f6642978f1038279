"""The end of a session whose token expires, unless another token takes its place."""

from typing import Protocol

from ...shared.clock import Clock
from ...shared.codes import CloseCode
from .timers import TimerWheel

LOOK_SECONDS = 60.0
"""A token may be valid for years: the wheel has no slot for each of their ends, but for a look once in a while."""


class ExpiringConnection(Protocol):
    def close(self, code: CloseCode) -> None: ...


class TokenExpiry:
    """A part of a connection. Timed by the wheel."""

    __slots__ = ("_clock", "_connection", "_expires_at", "_wheel", "tick")

    def __init__(self, connection: ExpiringConnection, wheel: TimerWheel, clock: Clock) -> None:
        self.tick = 0
        self._connection = connection
        self._wheel = wheel
        self._clock = clock
        self._expires_at = 0.0

    def start(self, expires_at: float | None) -> None:
        """Close the connection at this time, in Unix seconds, in place of an earlier one; None: never."""
        if expires_at is not None:
            self._expires_at = expires_at
            self._schedule()

    def stop(self) -> None:
        self._wheel.cancel(self)

    def on_due(self, now: float) -> None:
        if self._clock.now() >= self._expires_at:
            self._connection.close(CloseCode.TOKEN_EXPIRED)
        else:
            self._schedule()

    def _schedule(self) -> None:
        self._wheel.schedule(self, min(max(self._expires_at - self._clock.now(), 0.0), LOOK_SECONDS))
