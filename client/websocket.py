"""One WebSocket of a client: payloads in order, reading that can be paused, and the reason of its end.

The `websockets` library does the handshake, TLS, proxies and RFC 6455. Its queue and its `recv` are passed by: a
payload goes from its parser straight to a callback, which is what makes a client fast.
"""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from ssl import SSLContext
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.typing import Subprotocol

from ..shared.protocol.codec import WireFormat
from .closing import describe_end, describe_refusal
from .errors import ConnectionLost
from .proxies import Proxy

FRAME_MAX_BYTES = 128 * 1024 * 1024
"""The largest frame of a node: a message of 16 MiB in msgpack, of which JSON escapes each byte."""
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0
"""Seconds for the closing handshake; then the connection is ended without it."""

OnPayload = Callable[[bytes], None]


async def open_websocket(
    address: str, *, wire: WireFormat, token: str | None, ssl: SSLContext | None, proxy: Proxy | None
) -> "WebSocket":
    """Connect. Nothing is handed over before `start`. Raises ConnectionLost."""
    options: dict[str, Any] = {} if ssl is None else {"ssl": ssl}
    try:
        socket = await connect(
            address,
            create_connection=WebSocket,
            subprotocols=[Subprotocol(wire.subprotocol)],
            additional_headers=None if token is None else {"Authorization": f"Bearer {token}"},
            compression=None,
            proxy=None if proxy is None else proxy.url,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=None,  # the node sends pings, and the client notices when they fail to come
            max_size=FRAME_MAX_BYTES,
            **options,
        )
    except InvalidStatus as refused:
        response = refused.response
        raise describe_refusal(response.status_code, response.headers.get("Retry-After", "")) from refused
    except (OSError, EOFError, InvalidHandshake) as error:
        raise ConnectionLost(str(error) or type(error).__name__) from error
    return cast("WebSocket", socket)


class WebSocket(ClientConnection):
    """A connection. Payloads that were parsed while reading is paused are held: at most those of one read."""

    __slots__ = ("_failure", "_held", "_is_paused", "_on_closed", "_on_payload", "_pieces", "received_at")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.received_at = self.loop.time()
        """When something was received last, on the clock of the event loop."""
        self._on_payload: OnPayload | None = None
        self._on_closed: Callable[[], None] | None = None
        self._is_paused = True
        self._held: deque[bytes] | None = None
        self._pieces: list[bytes] | None = None
        self._failure = ""

    def start(self, on_payload: OnPayload, on_closed: Callable[[], None]) -> None:
        """Hand each payload to `on_payload`, and call `on_closed` when the connection has ended, also if it has now."""
        self._on_payload, self._on_closed = on_payload, on_closed
        for head in (self.request, self.response):
            if head is not None:
                head.headers.clear()  # together 3 KB, which nobody reads any more
        self.set_reading(True)
        if self.connection_lost_waiter.done():
            on_closed()

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    def set_reading(self, is_wanted: bool) -> None:
        """Pause or resume. After a pause what is held comes first."""
        if is_wanted is not self._is_paused:
            return
        self._is_paused = not is_wanted
        if is_wanted:
            self.received_at = self.loop.time()
            while self._held and not self._is_paused:
                self._hand_over(self._held.popleft())
            self._held = self._held or None
        if self._is_paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def send_payload(self, payload: bytes, *, binary: bool) -> None:
        """Send one frame, if the connection is open; if it is not, `on_closed` is about to be called."""
        if self.protocol.state is not State.OPEN:
            return
        if binary:
            self.protocol.send_binary(payload)
        else:
            self.protocol.send_text(payload)
        self.send_data()

    @property
    def is_writing_paused(self) -> bool:
        """Whether what was sent waits for the network: `wait_writable` before more is sent."""
        return self.paused

    async def wait_writable(self) -> None:
        """Wait until more may be sent, or the connection has ended."""
        with suppress(OSError):
            await self.drain()

    def fail(self, reason: str) -> None:
        """End the connection at once, for this reason."""
        self._failure = self._failure or reason
        self.transport.abort()

    def describe_end(self, bye: Mapping[str, Any], refusal: Mapping[str, Any]) -> ConnectionLost:
        """Why the connection has ended; `bye` and `refusal` as in `closing.py`."""
        if self._failure:
            return ConnectionLost(self._failure)
        received = self.protocol.close_rcvd
        code, reason = (None, "") if received is None else (received.code, received.reason)
        return describe_end(code, reason, bye, refusal)

    # ---- called by the library

    def process_event(self, event: Event) -> None:
        if self.response is None or not isinstance(event, Frame) or event.opcode not in _DATA:
            super().process_event(event)
            return
        payload = bytes(event.data)
        if self._pieces is not None or not event.fin:
            pieces = self._pieces = [*(self._pieces or ()), payload]
            if not event.fin:
                return
            payload, self._pieces = b"".join(pieces), None
        if self._is_paused:
            self._held = deque() if self._held is None else self._held
            self._held.append(payload)
        else:
            self._hand_over(payload)

    def data_received(self, data: bytes) -> None:
        self.received_at = self.loop.time()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._on_closed is not None:
            self._on_closed()

    def _hand_over(self, payload: bytes) -> None:
        if self._on_payload is not None:
            self._on_payload(payload)


_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
