"""The portable transport: what it reads from an ASGI scope, and how much before the others have their turn."""

import asyncio
from typing import Any, cast

import pytest
from starlette.types import Message, Scope
from starlette.websockets import WebSocket, WebSocketState
from tannoy.node.transports.asgi_websocket import AsgiWebSocketTransport, handshake_of, serve
from tannoy.node.transports.base import (
    CLOSED_MAX_BYTES,
    CLOSED_SHARES_MAX,
    SHARE_BYTES,
    SHARE_FRAMES,
    ClientTransport,
    TransportListener,
)
from tannoy.shared.codes import CloseCode

from tests.support.clock import on_manual_time, turns
from tests.support.echo_server import EchoAcceptor, EchoListener


async def _nothing() -> Message:
    raise AssertionError("nothing is to be received")


async def _nowhere(message: Message) -> None:
    raise AssertionError("nothing is to be sent")


def _websocket(path: str, raw_path: bytes | None, root_path: str) -> WebSocket:
    scope: Scope = {"type": "websocket", "path": path, "root_path": root_path, "query_string": b"a=b", "headers": []}
    return WebSocket(scope if raw_path is None else {**scope, "raw_path": raw_path}, _nothing, _nowhere)


@pytest.mark.parametrize(
    ("path", "raw_path", "root_path"),
    [
        ("/ws/chat/a b", b"/ws/chat/a%20b", ""),
        ("/ws/chat/a b", b"/ws/chat/a%20b?a=b", ""),
        ("/ws/chat/a b", None, ""),
        ("/below/ws/chat/a b", b"/below/ws/chat/a%20b", "/below"),
        ("/below/ws/chat/a b", None, "/below"),
    ],
)
def test_the_path_is_that_of_the_endpoint_wherever_it_is_mounted(
    path: str, raw_path: bytes | None, root_path: str
) -> None:
    handshake = handshake_of(_websocket(path, raw_path, root_path).scope)

    assert (handshake.path, handshake.query) == ("/ws/chat/a%20b", "a=b")


class MessageCounter:
    """A listener. It closes its transport on a violation, as a connection does."""

    def __init__(self, transport: AsgiWebSocketTransport) -> None:
        self.transport = transport
        self.messages = 0
        self.received = 0
        self.charged: list[int] = []
        self.frames_allowed = 1_000_000
        self.violation: int | None = None

    def on_message(self, payload: bytes, binary: bool) -> None:
        self.messages += 1

    def charge_frames(self, frames: int) -> bool:
        self.charged.append(frames)
        return sum(self.charged) <= self.frames_allowed

    def on_violation(self, code: int, reason: str) -> None:
        self.violation = code
        self.transport.close(code, reason)


def _queued(text: str) -> tuple[AsgiWebSocketTransport, MessageCounter]:
    """A transport of whose messages the server has queued as many as are asked for; it counts those."""

    async def receive_queued() -> Message:
        listener.received += 1
        return {"type": "websocket.receive", "text": text}

    scope: Scope = {"type": "websocket", "path": "/", "headers": []}
    websocket = WebSocket(scope, receive_queued, _nowhere)
    websocket.client_state = websocket.application_state = WebSocketState.CONNECTED
    transport = AsgiWebSocketTransport(websocket, 65_536)
    listener = MessageCounter(transport)
    transport.listener = cast(TransportListener, cast(Any, listener))
    return transport, listener


@pytest.mark.parametrize(("text", "share"), [("x", SHARE_FRAMES), ("x" * SHARE_BYTES, 1)], ids=["many", "large"])
@on_manual_time
async def test_a_socket_of_which_the_server_has_queued_much_waits_for_the_next_turn(text: str, share: int) -> None:
    transport, listener = _queued(text)
    reading = asyncio.create_task(transport.read_all(2 * SHARE_BYTES))

    await turns(1)
    assert listener.messages == share
    await turns(1)
    assert listener.messages == 2 * share
    assert listener.charged == [share, share]
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


@on_manual_time
async def test_a_client_that_sends_too_many_messages_gets_4505_once_and_nothing_else_of_it_is_handled() -> None:
    transport, listener = _queued("x")
    listener.frames_allowed = 2 * SHARE_FRAMES
    reading = asyncio.create_task(transport.read_all(2 * SHARE_BYTES))
    await turns(6)

    assert listener.violation == CloseCode.BAD_FRAMES
    assert (listener.messages, len(listener.charged)) == (3 * SHARE_FRAMES, 3)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


@pytest.mark.parametrize(
    ("text", "received"),
    [("x", SHARE_FRAMES * CLOSED_SHARES_MAX), ("x" * (CLOSED_MAX_BYTES // 4), 5)],
    ids=["many", "large"],
)
@on_manual_time
async def test_behind_the_close_frame_so_much_is_read_and_no_more_until_the_connection_ends(
    text: str, received: int
) -> None:
    transport, listener = _queued(text)
    transport.close(CloseCode.TRY_AGAIN_LATER, "too much")
    reading = asyncio.create_task(transport.read_all(2 * CLOSED_MAX_BYTES))
    await turns(2 * CLOSED_SHARES_MAX)
    assert (listener.received, listener.messages, reading.done()) == (received, 0, False)

    transport.abort()
    assert await reading is None


class ClosedListener(EchoListener):
    """Counts how often it is told that its connection has ended."""

    closed = 0

    def on_closed(self, code: int | None = None) -> None:
        self.closed += 1


class KeepingAcceptor(EchoAcceptor):
    """Admits everybody, and keeps the last listener."""

    listener: ClosedListener

    def connect(self, transport: ClientTransport, decision: object) -> TransportListener:
        self.listener = ClosedListener(transport)
        return self.listener


@on_manual_time
async def test_a_call_that_is_cancelled_again_and_again_still_ends_its_connection_once() -> None:
    node = KeepingAcceptor()
    received: asyncio.Queue[Message] = asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})

    async def send(message: Message) -> None: ...

    scope: Scope = {**_websocket("/ws", b"/ws", "").scope, "state": {"clients": node}}
    serving = asyncio.create_task(serve(WebSocket(scope, received.get, send)))
    await turns()
    while not serving.done():
        serving.cancel()
        await turns(1)

    assert (serving.cancelled(), node.listener.closed) == (True, 1)
