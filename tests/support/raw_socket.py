"""A socket for frames that no correct client sends."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self, cast

from tests.support.waiting import PATIENCE


class RawSocket:
    """A WebSocket connection whose opening handshake and frames the test writes as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int, *, receive_buffer: int | None = None) -> AsyncGenerator[Self]:
        """`receive_buffer`: bytes of the socket's receive buffer, for tests of slow readers."""
        raw = socket.socket()
        raw.setblocking(False)
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=4096 if receive_buffer else 2**16)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def handshake(self, path: str, **headers: str) -> int:
        """Send the opening handshake; returns the HTTP status of the answer."""
        fields = {
            "Host": "127.0.0.1",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        await self.send("\r\n".join(lines).encode())
        return await self.status()

    async def status(self) -> int:
        """The HTTP status of the answer to a handshake that has been sent."""
        async with asyncio.timeout(PATIENCE):
            head = await self._reader.readuntil(b"\r\n\r\n")
        return int(head.split()[1])

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send_until_closed(self, data: bytes) -> None:
        """Send it again and again, over a copy of the socket: where asyncio fails to write, it reads no further."""
        with self._writer.get_extra_info("socket").dup() as copy:
            copy.setblocking(False)
            with suppress(ConnectionError):
                while True:
                    await asyncio.get_running_loop().sock_sendall(copy, data)

    async def byte(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self._reader.readexactly(1)

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        async with asyncio.timeout(PATIENCE):
            first, length = await self._reader.readexactly(2)
            if length >= 126:
                length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
            return first & 0x0F, await self._reader.readexactly(length)

    async def object(self) -> dict[str, Any]:
        """The object in the next frame, which has to be a text frame."""
        opcode, payload = await self.frame()
        assert opcode == 1, (opcode, payload)
        return cast(dict[str, Any], json.loads(payload))

    async def close_code(self) -> int:
        """Read up to the close frame; returns its code."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")
