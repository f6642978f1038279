"""The portable transport: the same endpoints as Starlette routes, for any ASGI server and for embedding.

It behaves like the fast transport and is slower: each socket has a task that reads and one that writes. The server
below does the framing, so the chunks of this transport are ASGI messages.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Message, Scope
from starlette.websockets import WebSocket, WebSocketDisconnect

from ...shared.codes import CLOSE_RULES, CloseCode
from ..admission.handshake import (
    Handshake,
    HostRequest,
    Rejected,
    join_headers,
    record_refusal,
    record_rejected,
)
from ..admission.heads import check_head
from ..problems import CONTENT_TYPE, encode_problem
from ..protocols.framing import ASGI_MESSAGES, AsgiMessages, Chunk
from .base import (
    CLOSED_MAX_BYTES,
    CLOSED_SHARES_MAX,
    SHARE_BYTES,
    SHARE_FRAMES,
    ConnectionFactory,
    Decision,
    TransportListener,
)
from .handshake_turns import wait_for_turn

NO_CODES = (1005, 1006)
"""What servers below tell where no close frame came, or one without a code: no peer sends them (RFC 6455 §7.4.1)."""


class AsgiWebSocketTransport:
    """A ClientTransport over a Starlette WebSocket."""

    framing = ASGI_MESSAGES

    def __init__(self, websocket: WebSocket, high_water: int) -> None:
        self.listener: TransportListener | None = None
        self.ended = asyncio.Event()
        """Set when the connection is aborted."""
        self._websocket = websocket
        self._high_water = high_water
        self._queue: deque[AsgiMessages] = deque()
        self._queued_bytes = 0
        self._paused = False
        self._closing: tuple[int, str] | None = None
        self._writable = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()

    # ---- ClientTransport

    def accept(self, first: Chunk | None) -> None:
        if first is not None:  # the server below has answered the handshake
            self._write(cast("AsgiMessages", first))

    def listen(self, listener: TransportListener) -> None:
        self.listener = listener

    def writer(self) -> Callable[[Chunk], None]:
        return cast("Callable[[Chunk], None]", self._write)  # a chunk of this framing is AsgiMessages

    def pong(self, payload: bytes) -> None:
        return None  # the server below has answered its peer's ping already

    def _write(self, chunk: AsgiMessages) -> None:
        if self._closing is not None:
            return
        self._queue.append(chunk)
        self._queued_bytes += len(chunk)
        self._writable.set()
        if self._queued_bytes > self._high_water and not self._paused:
            self._paused = True
            if self.listener is not None:
                self.listener.on_writing_paused()

    def buffered(self) -> int:
        return self._queued_bytes

    def pause_reading(self) -> None:
        self._readable.clear()

    def resume_reading(self) -> None:
        self._readable.set()

    def close(self, code: int, reason: str) -> None:
        self._closing = (code, reason)
        self._writable.set()
        self._readable.set()

    def abort(self) -> None:
        self.ended.set()

    # ---- the two tasks of a socket

    async def write_all(self) -> None:
        """Send what is queued until the close frame has been sent."""
        while True:
            await self._writable.wait()
            self._writable.clear()
            while self._queue:
                chunk = self._queue.popleft()
                for message in chunk.messages:
                    await self._websocket.send(message)
                self._queued_bytes -= len(chunk)
                self._maybe_resume()
            if self._closing is not None:
                code, reason = self._closing
                await self._websocket.close(code, reason)
                if self.listener is not None:
                    self.listener.on_close_sent()
                return

    def _maybe_resume(self) -> None:
        if self._paused and self._queued_bytes <= self._high_water // 2:
            self._paused = False
            if self.listener is not None:
                self.listener.on_writing_resumed()

    async def read_all(self, max_bytes: int) -> int | None:
        """Pass received messages to the listener until the peer has disconnected; returns the code that it sent.

        `receive` does not wait where the server has queued some, so the other sockets would not get their turn. Control
        frames and fragments are not seen here: the server below handles them.
        """
        messages_left, bytes_left = SHARE_FRAMES, SHARE_BYTES
        closed_shares = closed_bytes = 0
        while closed_shares < CLOSED_SHARES_MAX and closed_bytes <= CLOSED_MAX_BYTES:
            await self._readable.wait()
            message: Message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                code: int | None = message.get("code")
                return None if code in NO_CODES else code
            text = message.get("text")
            payload: bytes = message["bytes"] if text is None else text.encode()
            self._hand_over(payload, binary=text is None, max_bytes=max_bytes)
            messages_left, bytes_left = messages_left - 1, bytes_left - len(payload)
            closed_bytes += len(payload) if self._closing is not None else 0
            if messages_left <= 0 or bytes_left <= 0:
                closed_shares += self._closing is not None
                self._charge(SHARE_FRAMES - messages_left)
                await asyncio.sleep(0)
                messages_left, bytes_left = SHARE_FRAMES, SHARE_BYTES
        await self.ended.wait()  # the rest stays with the server until the deadline of the close
        return None

    def _hand_over(self, payload: bytes, *, binary: bool, max_bytes: int) -> None:
        listener = self.listener
        if listener is None or self._closing is not None:
            return
        if len(payload) > max_bytes:
            listener.on_violation(CloseCode.TOO_LARGE, CLOSE_RULES[CloseCode.TOO_LARGE].reason)
        else:
            listener.on_message(payload, binary)

    def _charge(self, frames: int) -> None:
        listener = self.listener
        if listener is not None and self._closing is None and not listener.charge_frames(frames):
            listener.on_violation(CloseCode.BAD_FRAMES, CLOSE_RULES[CloseCode.BAD_FRAMES].reason)


async def serve(websocket: WebSocket) -> None:
    """Serve one WebSocket from its handshake to its end."""
    node: ConnectionFactory = websocket.state.clients
    scope = websocket.scope
    if (rejected := check_head(target_length(scope), scope["headers"])) is not None:
        record_rejected(node.refusals, rejected, client_host(scope))
        decision: Decision = rejected
    elif (rejected := await wait_for_turn(node, handshake := handshake_of(scope))) is not None:
        record_refusal(node.refusals, handshake, rejected)
        decision = rejected
    else:
        decision = node.admit(handshake)
    if isinstance(decision, Rejected):
        await websocket.send_denial_response(response_to(decision))
        return
    await websocket.accept(decision.subprotocol)
    transport = AsgiWebSocketTransport(websocket, node.write_high_water)
    transport.listener = node.connect(transport, decision)
    transport.listener.on_opened()
    await _run(transport, node.message_max_bytes)


async def _run(transport: AsgiWebSocketTransport, max_bytes: int) -> None:
    reading = asyncio.create_task(transport.read_all(max_bytes))
    writing = asyncio.create_task(transport.write_all())
    aborted = asyncio.create_task(transport.ended.wait())
    try:
        done, _ = await asyncio.wait((reading, aborted, writing), return_when=asyncio.FIRST_COMPLETED)
        if writing in done and not writing.exception():
            await asyncio.wait((reading, aborted), return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Nothing is awaited before: whoever cancels this task may do so again and again, as anyio does.
        for task in (reading, writing, aborted):
            task.cancel()
        listener, transport.listener = transport.listener, None
        if listener is not None:
            listener.on_closed(_code_of(reading))
    await asyncio.wait((reading, writing, aborted))
    for task in (reading, writing):
        # A peer that disconnects during a send is no error; any other exception is a fault of ours.
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, (WebSocketDisconnect, OSError)):
            raise error


def _code_of(reading: asyncio.Task[int | None]) -> int | None:
    """The code of the peer's close frame, if that has ended it."""
    has_result = reading.done() and not reading.cancelled() and reading.exception() is None
    return reading.result() if has_result else None


def response_to(rejected: Rejected) -> Response:
    """A problem document."""
    body = encode_problem(rejected.status, rejected.refusal)
    return Response(body, rejected.status, rejected.headers, CONTENT_TYPE)


def target_length(scope: Scope) -> int:
    """The length of a request's target in bytes. Some servers leave out its path as it was sent, or add the query."""
    raw_path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return len(raw_path.partition(b"?")[0]) + len(scope["query_string"]) + bool(scope["query_string"])


def client_host(scope: Scope) -> str | None:
    """The address of the client, where the server below tells it; a Unix socket has none."""
    client: tuple[str, int] | None = scope.get("client")
    return client[0] or None if client else None


def handshake_of(scope: Scope) -> Handshake:
    """Return the opening handshake; its path is without the prefix of a mount or a proxy."""
    raw_path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    raw_path = raw_path.removeprefix(quote(scope.get("root_path", "")).encode())
    return Handshake(
        raw_path.partition(b"?")[0].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        join_headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]),
        server[0] if (server := scope.get("server")) else None,
        client_host(scope),
        HostRequest(scope),
    )


def websocket_routes() -> list[BaseRoute]:
    """One route for all paths, so that a handshake for a wrong one is answered by the node too."""
    return [WebSocketRoute("/{path:path}", serve)]
