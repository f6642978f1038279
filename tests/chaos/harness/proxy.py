"""A TCP proxy between one node and Redis that can stall in either direction, or reset connections.

A node has four connections to Redis and names each with its first command, so that a fault can hit one of them alone.
"""

import asyncio
import re
import socket
import struct
from enum import Flag, StrEnum, auto
from types import TracebackType
from typing import Self, cast

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_find_name = re.compile(rb"\btannoy-(\w+)-").search


class Way(Flag):
    """A direction to stall: with FROM_REDIS alone commands are executed and their replies do not arrive."""

    TO_REDIS = auto()
    FROM_REDIS = auto()
    BOTH = TO_REDIS | FROM_REDIS


class Part(StrEnum):
    """What a connection is for, by the name that its node gives it."""

    LINK = "link"
    PUBLISHER = "publisher"
    HISTORY = "history"
    COUNTED = "counted"


class _End(asyncio.Protocol):
    """One end of a proxied connection; what it reads is written to the other end, once that exists."""

    def __init__(self, proxy: "Proxy", way: Way) -> None:
        self.way = way  # of what this end reads
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.part: str | None = None  # unknown until the node has named the connection
        self._proxy = proxy
        self._early: list[bytes] = []
        self._paused: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._proxy.ends.add(self)
        self.stall_if_configured()
        if self.way is Way.TO_REDIS:
            self._proxy.dial(self)

    def data_received(self, data: bytes) -> None:
        if self.part is None and self.way is Way.TO_REDIS:
            self._name(data)
        if self.other is None or self.other.transport is None:
            self._early.append(data)
        else:
            self.other.transport.write(data)

    def _name(self, data: bytes) -> None:
        found = _find_name(data)
        if found:
            self.part = found[1].decode()
            self.stall_if_configured()
            if self.other is not None:
                self.other.part = self.part
                self.other.stall_if_configured()

    def join(self, other: "_End") -> None:
        self.other, other.other = other, self
        other.part = self.part
        other.stall_if_configured()
        for end in (self, other):
            early, end._early = end._early, []
            for data in early:
                end.data_received(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.hold("the other end is slow")

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.release("the other end is slow")

    def stall_if_configured(self) -> None:
        if self._proxy.stalls(self.way, self.part):
            self.hold("stalled")

    def hold(self, why: str) -> None:
        if self.transport is not None and not self._paused and not self.transport.is_closing():
            self.transport.pause_reading()
        self._paused.add(why)

    def release(self, why: str) -> None:
        self._paused.discard(why)
        if self.transport is not None and not self._paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.ends.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def reset(self) -> None:
        if self.transport is not None:
            raw = self.transport.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()


class Proxy:
    """`async with Proxy(redis_port) as proxy:`, then `proxy.port`."""

    def __init__(self, redis_port: int) -> None:
        self._redis_port = redis_port
        self._server: asyncio.Server | None = None
        self._dialling: set[asyncio.Task[None]] = set()
        self.port = 0
        self.ends: set[_End] = set()
        self._stalled: dict[Part | None, Way] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self, Way.TO_REDIS), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        self.reset()

    def dial(self, node_end: _End) -> None:
        task = asyncio.get_running_loop().create_task(self._dial(node_end))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, node_end: _End) -> None:
        redis_end = _End(self, Way.FROM_REDIS)
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: redis_end, "127.0.0.1", self._redis_port)
        except OSError:
            node_end.reset()
            return
        if node_end.transport is None or node_end.transport.is_closing():
            redis_end.reset()
        else:
            node_end.join(redis_end)

    # ---- faults

    def stall(self, way: Way, part: Part | None = None) -> None:
        """Hold back all bytes of a direction, also of new connections. `part`: only of connections of this name."""
        self._stalled[part] = way
        for end in self.ends:
            end.stall_if_configured()

    def stalls(self, way: Way, part: str | None) -> bool:
        return any(way & stalled and which in (None, part) for which, stalled in self._stalled.items())

    def flow(self, part: Part | None = None) -> None:
        """End the `stall` of the same part: what was held back goes on."""
        del self._stalled[part]
        for end in tuple(self.ends):
            if not self.stalls(end.way, end.part):
                end.release("stalled")

    def reset(self, part: Part | None = None) -> None:
        """Reset the connections; bytes in transit are lost. `part`: only connections with this name."""
        for end in tuple(self.ends):
            if part in (None, end.part):
                end.reset()

    def point_at(self, redis_port: int) -> None:
        """Send new connections to this port."""
        self._redis_port = redis_port
