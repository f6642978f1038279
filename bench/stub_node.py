"""A server that speaks just enough of the protocol to measure clients: `python -m bench.stub_node PORT`.

It welcomes each connection, answers `join`, and publishes as many messages as the room's name says (`burst-100000`), as
fast as the client reads them. A real node would use more CPU than the client that is measured.
"""

import asyncio
import base64
import hashlib
import json
import re
import sys
from typing import Any, cast

import msgpack
import uvloop

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MESSAGE: dict[str, Any] = {
    "type": "message",
    "user_id": "ada",
    "username": "Ada",
    "session_id": "e6XZ_0CgyF5MSL1q",
    "content": {"text": "x" * 64},
    "timestamp": "2026-01-01T00:00:00.000Z",
}
_WELCOME: dict[str, Any] = {
    "type": "welcome",
    "session_id": "e6XZ_0CgyF5MSL1q",
    "user_id": "ada",
    "username": "ada",
    "node": "stub",
    "ping_interval": 25,
    "message_max_bytes": 65536,
}
_FRAMES_PER_WRITE = 100
_CLOSE = 8


class StubConnection(asyncio.Protocol):
    """One connection. It answers what it can read as a `join`, and ignores all else."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_binary = False
        self._is_upgraded = False
        self._writable = asyncio.Event()
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Take each read for one handshake or one frame, which is how a client on loopback sends them."""
        if not self._is_upgraded:
            self._upgrade(data)
            return
        if data[0] & 0x0F == _CLOSE:
            self._transport.write(b"\x88\x02\x03\xe8")
            self._transport.close()
            return
        size = data[1] & 0x7F
        start = 2 if size < 126 else 4
        mask, payload = data[start : start + 4], data[start + 4 :]
        text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        try:
            command: dict[str, Any] = msgpack.unpackb(text) if self._is_binary else json.loads(text)
        except ValueError:
            return
        if command.get("type") == "join":
            self._answer_join(command)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has read."""
        self._writable.set()

    def _upgrade(self, head: bytes) -> None:
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
        offered = re.search(rb"(?i)sec-websocket-protocol: *(\S+)", head)
        if key is None or offered is None:
            self._transport.close()
            return
        accept = base64.b64encode(hashlib.sha1(key[1] + _GUID).digest())
        self._is_binary, self._is_upgraded = offered[1].endswith(b"msgpack"), True
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: %b\r\n\r\n" % (accept, offered[1])
        )
        self._transport.write(self._frame(_WELCOME))

    def _answer_join(self, command: dict[str, Any]) -> None:
        room: str = command["room"]
        start = {"users_count": 1, "version": 1, "users": [], "epoch": "e1", "offset": 0}
        self._transport.write(self._frame({"type": "ok", "id": command["id"], "room": room} | start))
        if room.startswith("burst-"):
            self._publishing = asyncio.ensure_future(self._publish(room, int(room.removeprefix("burst-"))))

    async def _publish(self, room: str, messages: int) -> None:
        for first in range(1, messages + 1, _FRAMES_PER_WRITE):
            offsets = range(first, min(first + _FRAMES_PER_WRITE, messages + 1))
            await self._writable.wait()
            self._transport.write(b"".join(self._frame(_MESSAGE | {"room": room, "offset": n}) for n in offsets))
            await asyncio.sleep(0)

    def _frame(self, value: dict[str, Any]) -> bytes:
        payload: bytes = msgpack.packb(value) if self._is_binary else json.dumps(value, separators=(",", ":")).encode()
        size = len(payload)
        head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)
        return (b"\x82" if self._is_binary else b"\x81") + head + payload


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(StubConnection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
