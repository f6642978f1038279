"""A lower bound of the cost, not a usable server: one frame for all sockets, one write per socket and loop turn.

It has one room, no users, no bus and no limits. Its cost is that of Python, uvloop and the kernel.
"""

import argparse
import asyncio
import base64
import hashlib
from typing import cast

import uvloop
from websockets.speedups import apply_mask

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "


def encode_frame(opcode: int, text: bytes) -> bytes:
    """An unmasked frame of less than 64 KiB."""
    size = len(text)
    head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)
    return bytes([0x80 | opcode]) + head + text


class Room:
    """All sockets, and the frames to send at the end of this turn of the loop."""

    def __init__(self) -> None:
        self.members: set[asyncio.Transport] = set()
        self._pending: list[bytes] = []

    def publish(self, text: bytes) -> None:
        """Send a text to all sockets at the end of this turn of the loop."""
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pending.append(encode_frame(1, text))

    def _flush(self) -> None:
        frames = b"".join(self._pending)
        self._pending.clear()
        for member in self.members:
            member.write(frames)


class Socket(asyncio.Protocol):
    """One connection: the upgrade, then masked frames."""

    __slots__ = ("_rest", "_room", "_transport")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the room."""
        if self._transport is not None:
            self._room.members.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Answer the opening handshake; after that, publish each message."""
        transport = self._transport
        if transport is None:
            return
        self._rest += data
        if transport in self._room.members:
            self._read_frames(transport)
            return
        head, end, rest = self._rest.partition(b"\r\n\r\n")
        if end:
            key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
            accept = base64.b64encode(hashlib.sha1(key.partition(b":")[2].strip() + _GUID).digest())
            transport.write(_UPGRADE + accept + b"\r\n\r\n" + encode_frame(1, b"hello"))
            self._room.members.add(transport)
            self._rest = rest

    def _read_frames(self, transport: asyncio.Transport) -> None:
        data = self._rest
        while len(data) >= 8:
            size, start = data[1] & 127, 6
            if size == 126:
                size, start = int.from_bytes(data[2:4]), 8
            if len(data) < start + size:
                break
            text = apply_mask(data[start : start + size], data[start - 4 : start])
            if data[0] & 15 == 1:
                self._room.publish(text)
            elif data[0] & 15 == 8:
                transport.write(encode_frame(8, text))
                transport.close()
            data = data[start + size :]
        self._rest = data


async def run(port: int) -> None:
    """Serve on loopback until the process is ended."""
    room = Room()
    server = await asyncio.get_running_loop().create_server(lambda: Socket(room), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve under uvloop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(port))


if __name__ == "__main__":
    main()
