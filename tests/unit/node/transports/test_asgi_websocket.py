"""What the portable transport reads from an ASGI scope."""

import pytest
from starlette.types import Message, Scope
from starlette.websockets import WebSocket
from tannoy.node.transports.asgi_websocket import handshake_of


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
    handshake = handshake_of(_websocket(path, raw_path, root_path))

    assert (handshake.path, handshake.query) == ("/ws/chat/a%20b", "a=b")
