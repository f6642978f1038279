"""What many HTTP connections send at once is worked off in shares: each waits for its turn, and is not read meanwhile.

A head waits before it is parsed, and a handshake once more before it is answered, which takes longer.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import is_ssl

from ..admission.handshake import NO_PLACE, Handshake, Rejected, join_headers
from ..admission.heads import HEAD_MAX_BYTES
from ..transports.base import ConnectionFactory


class PacedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol class, with turns. Each connection waits for one thing at a time."""

    _node: ConnectionFactory
    is_waiting = False
    """For its turn: nothing is read, and the client waits for the node."""

    _delayed: asyncio.TimerHandle | None = None

    @abstractmethod
    def close_waiting(self) -> None:
        """Close the connection, as an OtherConnection whose place another one needs."""

    def open_connection(self, transport: asyncio.Transport) -> None:
        """As `connection_made` of uvicorn, without the four system calls by which that finds out both addresses.

        The event loop knows that of the client. `server` is what requests need, and handshakes do not.
        """
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        peer: tuple[Any, ...] | str | None = transport.get_extra_info("peername")
        self.client = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self.scheme = "https" if is_ssl(transport) else "http"

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_waiting:
            self._node.heads.remove(self)
            self._node.handshakes.remove(self)
        if self._delayed is not None:
            self._delayed.cancel()
        super().connection_lost(exc)
        # Either would keep this object: the timer for seconds, which uvicorn leaves running behind a reset, and the
        # cycle until the garbage collector finds it.
        self._unset_keepalive_if_required()
        self.cycle = cast("RequestResponseCycle", None)

    def read_in_turn(self, data: bytes, read: Callable[[bytes], None]) -> Rejected | None:
        """Call `read` with what may be, or belong to, a head; returns a refusal if too much waits already."""
        size, heads = len(data), self._node.heads
        if size > HEAD_MAX_BYTES:
            read(data)  # it is no head, or too large for one
        elif not heads.has_room(size):
            return NO_PLACE
        elif not heads.run(self, partial(self._go_on, partial(read, data)), size):
            self._wait()
        return None

    def open_in_turn(self, open: Callable[[], None]) -> None:
        """Call `open` when it is the turn of the handshake."""
        if not self._node.handshakes.run(self, partial(self._go_on, open)):
            self._wait()

    def open_later(self, seconds: float, open: Callable[[], None]) -> None:
        """Call `open` after so many seconds, in which the connection is one that waits for its client."""
        if seconds:
            self.flow.pause_reading()
            self._delayed = self.loop.call_later(seconds, self._open_delayed, open)
        else:
            open()

    def _open_delayed(self, open: Callable[[], None]) -> None:
        self._delayed = None
        if not self.transport.is_closing():
            self.flow.resume_reading()
            open()

    def is_answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    def read_handshake(self) -> Handshake:
        """The handshake of which the parser has read the head."""
        headers = join_headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers])
        path, _, query = self.url.decode("latin-1").partition("?")
        return Handshake(path, query, headers, client_host=self.client_host())

    def hand_over(self, next: asyncio.Protocol) -> None:
        """Leave the connection to another protocol."""
        self.connections.discard(self)
        self._node.other_connections.remove(self)
        self.parser = cast("httptools.HttpRequestParser", None)  # it holds this object
        next.connection_made(self.transport)
        self.transport.set_protocol(next)

    def client_host(self) -> str | None:
        return self.client[0] or None if self.client else None

    def _wait(self) -> None:
        self.is_waiting = True
        self._node.other_connections.begin_answer(self)
        self.flow.pause_reading()

    def _go_on(self, work: Callable[[], None]) -> None:
        if self.is_waiting:
            self.is_waiting = False
            if self.transport.is_closing():
                return
            self.flow.resume_reading()
            self._node.other_connections.end_answer(self)
        work()
