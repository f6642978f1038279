"""The deadlines of one connection: its next ping, the pong that it owes, and the end after its close frame."""

from typing import Protocol

from ...shared.codes import CloseCode
from ..delivery.outbox import Outbox
from ..protocols.encoding import Encoding
from ..transports.base import CLOSE_DEADLINE
from .timers import TimerWheel

PONG_DEADLINE = 10.0
"""Seconds in which a client has to answer the node's ping."""


class KeepaliveOwner(Protocol):
    """A connection, as its keepalive sees it."""

    @property
    def outbox(self) -> Outbox: ...
    @property
    def encoding(self) -> Encoding: ...
    @property
    def is_opening(self) -> bool:
        """Before `welcome`."""
        ...

    @property
    def has_ended(self) -> bool:
        """From its close frame on."""
        ...

    @property
    def waits_for_node(self) -> bool:
        """Whether frames of the client wait for the node."""
        ...

    def fence_if_expired(self) -> bool:
        """True: the connection holds leases that may be another's by now; it has been closed."""
        ...

    def close(self, code: CloseCode) -> None: ...
    def abort(self) -> None:
        """End the connection at once."""
        ...


class Keepalive:
    """A part of a connection. Timed by the wheel."""

    __slots__ = ("_connection", "_interval", "_is_ping_out", "_wheel", "tick")

    def __init__(self, connection: KeepaliveOwner, wheel: TimerWheel, interval: float) -> None:
        """`interval`: seconds between two pings."""
        self.tick = 0
        self._connection = connection
        self._wheel = wheel
        self._interval = interval
        self._is_ping_out = False

    def start(self) -> None:
        self._wheel.schedule(self, self._interval)

    def confirm_ping(self) -> None:
        """The client has answered."""
        if self._is_ping_out:
            self._is_ping_out = False
            self._wheel.schedule(self, self._interval)

    def wait_for_close(self) -> None:
        """The close frame has been written: give the client CLOSE_DEADLINE to answer it."""
        self._wheel.schedule(self, CLOSE_DEADLINE)

    def stop(self) -> None:
        self._wheel.cancel(self)

    def on_due(self, now: float) -> None:
        connection = self._connection
        if connection.has_ended:
            connection.abort()
        elif connection.fence_if_expired():
            return
        elif self._is_ping_out and not (connection.outbox.has_progressed() or connection.waits_for_node):
            connection.close(CloseCode.NO_PONG)
        elif self._is_ping_out or connection.is_opening:
            # The ping may be behind a large answer, of which the client has read a part; its pong may be behind
            # commands that wait for the node; and nothing is sent before `welcome`.
            self._wheel.schedule(self, PONG_DEADLINE)
        else:
            self._is_ping_out = True
            connection.outbox.has_progressed()  # from now on
            connection.outbox.write_direct(connection.encoding.ping)
            self._wheel.schedule(self, PONG_DEADLINE)
