"""One RESP3 connection to Redis: commands out in one go, replies in order, pushes in batches.

All connections of a node to Redis are of this kind. It never reconnects or retries by itself; `opening.py` opens it. To
receive a message of
200 bytes costs 0.6 µs of CPU here and 10.7 µs in redis-py 8.1.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import hiredis

from ...shared.errors import TannoyError
from .errors import ConnectionLost, RedisError
from .role_watch import NO_MASTER_CODES, RoleWatch

Word = str | bytes | int
"""One word of a command; text is sent as UTF-8, a number in decimal digits."""
Reply = Any
"""A RESP3 value as hiredis gives it: bytes, int, float, bool, None, a list or a dict of these."""
Pushes = list[list[Any]]
"""RESP3 pushes in the order in which they came, each [kind, channel, payload or number of subscriptions]."""
_NOT_ENOUGH = object()


# The annotation of hiredis allows only a tuple of one word.
_pack_command = cast(Callable[[tuple[Word, ...]], bytes], hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]


@dataclass(slots=True)
class _SubscribeReply:
    """Stands in the queue of replies for the PING behind a SUBSCRIBE."""

    on_refused: Callable[[RedisError], None]

    def __call__(self, reply: Reply) -> None: ...


_PING = b"*1\r\n$4\r\nPING\r\n"


class RedisConnection(asyncio.Protocol):
    """One connection, as an asyncio protocol. `on_pushes` gets all pushes that one read brought, in order."""

    def __init__(self, on_pushes: Callable[[Pushes], None]) -> None:
        self._on_pushes = on_pushes
        # The default for `notEnoughData` is False, which is also a value of RESP3.
        self._reader = hiredis.Reader(protocolError=ConnectionLost, replyError=RedisError, notEnoughData=_NOT_ENOUGH)
        self._reply_handlers: deque[Callable[[Reply], None]] = deque()  # one for each reply that is still to come
        self._transport: asyncio.Transport | None = None
        self._reason: ConnectionLost | None = None
        self.push_max_bytes: int | None = None
        """The connection ends with a push that is larger, before all of it is here; None: it takes any."""
        self._incomplete_bytes = 0  # of a push, at most
        self._now = asyncio.get_running_loop().time
        self.opened_at = self._now()
        """When it was opened, in seconds of the event loop's clock."""
        self.replied_at = self.opened_at
        """When the last bytes came, in seconds of the same clock."""
        self.confirmed_at = self.opened_at
        """When the address was last known to lead to this server, in seconds of this clock: the link confirms it."""
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        """Done once the connection has ended; the result is the reason, where one is known."""
        self.role_refusal: str | None = None
        """What the server has replied to ROLE instead of its role; None: it has told it."""
        self.takes_script_flags = True
        """False: the server has refused the flags of a script (`script.py`), and its scripts are loaded without."""
        self.greeting: dict[bytes, Reply] = {}
        """The reply to HELLO: `server`, `version`, `mode`, `role` and more, as far as the server tells them."""
        self.role_watch: RoleWatch | None = None
        """What gives the connection up if its server does not answer, or is no master any more; set once logged in."""

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.replied_at = self._now()
        reader = self._reader
        reader.feed(data)
        pushes: Pushes = []
        try:
            while True:
                try:
                    reply = reader.gets()
                except (
                    TypeError,
                    MemoryError,
                ):  # a map with a key that is a map; a list of more than memory has room for
                    self.abort("Redis has sent a reply that can't be read")
                    break
                if reply is _NOT_ENOUGH:
                    break
                if type(reply) is hiredis.PushNotification:
                    pushes.append(reply)
                else:
                    self._handle_reply(reply)
        except ConnectionLost:
            self.abort()
        if self.push_max_bytes is not None:
            self._check_incomplete_push(len(data), self.push_max_bytes, follows_others=bool(pushes))
        if pushes:
            self._on_pushes(pushes)

    def _check_incomplete_push(self, read: int, max_bytes: int, *, follows_others: bool) -> None:
        before = 0 if follows_others else self._incomplete_bytes
        self._incomplete_bytes = before + read if self._reader.has_data() else 0
        if self._incomplete_bytes > max_bytes:
            self.abort(f"a message of more than {max_bytes} bytes was published, which no node does")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None  # uvloop raises where asyncio ignores what is done to a closed transport
        self._reader = hiredis.Reader(notEnoughData=_NOT_ENOUGH)  # who keeps this object keeps no part of a message
        if not self.lost.done():
            self.lost.set_result(exc or self._reason)
        why = f": {exc or self._reason}" if exc or self._reason else ""
        error = ConnectionLost(f"the connection to Redis ended before it answered{why}")
        while self._reply_handlers:
            self._reply_handlers.popleft()(error)

    def _handle_reply(self, reply: Reply) -> None:
        if not self._reply_handlers:
            self.abort()  # no command has asked for this reply, so no later reply could be assigned to its command
        elif isinstance(self._reply_handlers[0], _SubscribeReply) and isinstance(reply, RedisError):
            self._reply_handlers[0].on_refused(reply)  # the reply to the PING behind it is still to come
        else:
            self._reply_handlers.popleft()(reply)
            if type(reply) is RedisError and reply.code in NO_MASTER_CODES:
                self.abort(str(reply))

    # ---- commands

    def write(self, data: bytes) -> None:
        """Write packed commands. The caller has called `expect` once for each reply that they will get."""
        if self._transport is not None:
            self._transport.write(data)

    def expect(self, on_reply: Callable[[Reply], None]) -> None:
        """Pass the next reply in order to `on_reply`: a value, or an instance of RedisError or ConnectionLost."""
        self._reply_handlers.append(on_reply)

    def subscribe(self, words: Sequence[Word], on_refused: Callable[[RedisError], None]) -> None:
        """Send SUBSCRIBE, UNSUBSCRIBE or their sharded forms. Pushes confirm it; an error goes to `on_refused`.

        Without an error these commands get no reply, so a PING follows each of them: an error before its reply belongs
        to the subscription and not to the next command.
        """
        self.expect(_SubscribeReply(on_refused))
        self.write(pack(words) + _PING)

    def send(self, *words: Word) -> asyncio.Future[Reply]:
        """Send one command. The future raises RedisError or ConnectionLost."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self.lost.done():
            answer.set_exception(ConnectionLost("the connection to Redis has ended"))
            return answer
        self.expect(partial(_settle, answer))
        self.write(pack(words))
        return answer

    @property
    def unconfirmed_for(self) -> float:
        """Seconds since `confirmed_at`."""
        return self._now() - self.confirmed_at

    @property
    def is_receiving(self) -> bool:
        """Part of a reply has come, and the rest of it has not."""
        return self._reader.has_data()

    @property
    def is_reading(self) -> bool:
        return self._transport is not None and self._transport.is_reading()

    def pause_reading(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    def abort(self, reason: str | None = None) -> None:
        """Close the connection now. Commands without a reply fail; `reason` becomes the result of `lost`."""
        if reason is not None and self._reason is None:
            self._reason = ConnectionLost(reason)
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
