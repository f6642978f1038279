"""One RESP3 connection to Redis: commands out in one go, replies in order, pushes in batches.

What redis-py does for every command, this does for the two connections that every message takes: it costs a tenth
(`reliability.md`, finding 9 has the figures), and it never reconnects or retries by itself.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

from ..shared.errors import TannoyError

Word = str | bytes | int
Reply = Any
Pushes = list[list[Any]]
_NOT_ENOUGH = object()


# Its own annotation knows only tuples of one word.
_pack_command = cast(Callable[[tuple[Word, ...]], bytes], hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]


class WireLost(TannoyError):
    """The connection ended, or was ended, before the answer came."""


class ServerRefused(TannoyError):
    """Redis answered with an error: `NOAUTH …`, `NOSCRIPT …`, `READONLY …`."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis server is, and who we are to it. `host` may be the path of a Unix socket."""

    host: str
    port: int | None
    username: str | None
    password: str | None
    database: int
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def parse_address(url: str) -> RedisAddress:
    """Read `redis://`, `rediss://` and `unix://` URLs as redis-py does. Raises ValueError."""
    parts = cast("dict[str, Any]", parse_url(url))
    path = parts.get("path")
    tls = None
    if url.startswith("rediss://"):
        try:
            tls = ssl.create_default_context(cafile=parts.get("ssl_ca_certs"))
            if certificate := parts.get("ssl_certfile"):
                tls.load_cert_chain(certificate, parts.get("ssl_keyfile"), parts.get("ssl_password"))
        except OSError as error:
            files = ", ".join(f"{n}={parts[n]}" for n in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if n in parts)
            raise ValueError(f"{files} can't be read: {error.strerror}") from error
        if str(parts.get("ssl_check_hostname", True)).lower() in ("false", "0", "no"):
            tls.check_hostname = False
        if parts.get("ssl_cert_reqs") in ("none", ssl.CERT_NONE):
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
    host, port = (path, None) if path else (parts.get("host", "127.0.0.1"), int(parts.get("port", 6379)))
    return RedisAddress(host, port, parts.get("username"), parts.get("password"), int(parts.get("db", 0)), tls)


@dataclass(slots=True)
class _Subscribing:
    """Waits in the queue of replies, for that of the PING behind a SUBSCRIBE."""

    refused: Callable[["ServerRefused"], None]

    def __call__(self, reply: Reply) -> None: ...


_PING = b"*1\r\n$4\r\nPING\r\n"


class Wire(asyncio.Protocol):
    """The asyncio end of one connection. `on_pushes` gets all pushes that one read brought in, in order."""

    def __init__(self, on_pushes: Callable[[Pushes], None]) -> None:
        self._on_pushes = on_pushes
        # Told apart from RESP3's own False.
        self._reader = hiredis.Reader(protocolError=WireLost, replyError=ServerRefused, notEnoughData=_NOT_ENOUGH)
        self._waiting: deque[Callable[[Reply], None]] = deque()
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        pushes: Pushes = []
        try:
            while (reply := reader.gets()) is not _NOT_ENOUGH:
                if type(reply) is hiredis.PushNotification:
                    pushes.append(reply)
                else:
                    self._answer(reply)
        except WireLost:
            self.abort()
        if pushes:
            self._on_pushes(pushes)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)
        error = WireLost("the connection to Redis ended before it answered")
        while self._waiting:
            self._waiting.popleft()(error)

    def _answer(self, reply: Reply) -> None:
        if not self._waiting:
            self.abort()  # an answer nobody asked for: we no longer know whose the next one is
        elif isinstance(self._waiting[0], _Subscribing) and isinstance(reply, ServerRefused):
            self._waiting[0].refused(reply)  # its own answer, that of the PING behind it, is still to come
        else:
            self._waiting.popleft()(reply)

    # ---- ours

    def write(self, data: bytes) -> None:
        """Send packed words whose answers are pushes (SUBSCRIBE and its like), or whose waiters are `expect`ed."""
        if self._transport is not None:
            self._transport.write(data)

    def expect(self, answered: Callable[[Reply], None]) -> None:
        """The next reply in order goes to `answered`: a value, or a ServerRefused or WireLost instance."""
        self._waiting.append(answered)

    def subscribe(self, words: Sequence[Word], refused: Callable[["ServerRefused"], None]) -> None:
        """Send SUBSCRIBE or its like. Success is told by pushes; a refusal is a reply, and goes to `refused`.

        A PING behind it tells whose refusal it was: without it, an error would be taken for the next command's.
        """
        self.expect(_Subscribing(refused))
        self.write(pack(words) + _PING)

    def command(self, *words: Word) -> asyncio.Future[Reply]:
        """Send one command. The future raises ServerRefused or WireLost."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self.lost.done():
            answer.set_exception(WireLost("the connection to Redis has ended"))
            return answer
        self.expect(partial(_settle, answer))
        self.write(pack(words))
        return answer

    def pause_reading(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection now; what has not been answered never will be."""
        if self._transport is not None:
            self._transport.abort()


def pack(words: Sequence[Word]) -> bytes:
    """One command in RESP."""
    return _pack_command(tuple(words))


def _settle(answer: asyncio.Future[Reply], reply: Reply) -> None:
    if answer.done():
        return
    if isinstance(reply, TannoyError):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)


async def dial(address: RedisAddress, *, name: str, on_pushes: Callable[[Pushes], None], timeout: float) -> Wire:
    """Connect and introduce ourselves, within `timeout` seconds.

    Raises OSError, TimeoutError, WireLost, or ServerRefused where Redis wants other credentials or is too old.
    """
    loop = asyncio.get_running_loop()
    wire = Wire(on_pushes)
    try:
        async with asyncio.timeout(timeout):
            if address.port is None:
                await loop.create_unix_connection(lambda: wire, address.host)
            else:
                await loop.create_connection(lambda: wire, address.host, address.port, ssl=address.tls)
            await _introduce(wire, address, name)
    except BaseException:
        wire.abort()
        raise
    return wire


async def _introduce(wire: Wire, address: RedisAddress, name: str) -> None:
    credentials = ("AUTH", address.username or "default", address.password) if address.password else ()
    await wire.command("HELLO", "3", *credentials, "SETNAME", name)
    if address.database:
        await wire.command("SELECT", address.database)
