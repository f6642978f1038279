"""Frames over the present connection of a session: what is read and when, commands and their answers, and silence."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgpack
import orjson

from ..shared.codes import ErrorCode
from .catch_up import Frame
from .channel_state import ChannelState
from .errors import CommandRefused, ConnectionLost
from .options import Options, SlowReader
from .session import Session
from .websocket import WebSocket

WELCOME_SECONDS = 15.0
"""Seconds within which a node has to send its first frame."""
SILENCE_GRACE = 12.0
"""Seconds without a frame, beyond `ping_interval`, after which the connection counts as lost."""
UNREAD_SECONDS = 5.0
"""Seconds for which a channel that nobody has begun to read may keep the others of its connection waiting."""


class FrameExchange:
    """One connection after another: `serve` handles each until its end."""

    __slots__ = ("_decode", "_full", "_loop", "_options", "_session", "_silence", "socket")

    def __init__(self, options: Options, session: Session) -> None:
        self.socket: WebSocket | None = None
        """The present connection."""
        self._options = options
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._decode: Callable[[bytes], Any] = msgpack.unpackb if options.wire.binary else orjson.loads
        self._full: set[ChannelState] | None = None
        self._silence: asyncio.TimerHandle | None = None

    async def serve(self, socket: WebSocket) -> ConnectionLost:
        """Handle a connection until it has ended; why it has."""
        closed: asyncio.Future[None] = self._loop.create_future()
        self.socket, self._full = socket, None
        self._session.begin()
        self._watch_silence(socket, WELCOME_SECONDS)
        socket.start(self._handle_payload, lambda: None if closed.done() else closed.set_result(None))
        await closed
        self.socket = None
        if self._silence is not None:
            self._silence.cancel()
        self._session.end()
        return socket.describe_end(self._session.bye, self._session.refusal)

    def fail(self, reason: str) -> None:
        """End the present connection, if there is one."""
        if self.socket is not None:
            self.socket.fail(reason)

    # ---- silence

    def expect_pings(self, interval: float) -> None:
        """From now on the node sends something every `interval` seconds."""
        if self.socket is not None:
            self._watch_silence(self.socket, interval + SILENCE_GRACE)

    def _watch_silence(self, socket: WebSocket, limit: float) -> None:
        """The connection fails when nothing is received for `limit` seconds while it is read."""
        if self._silence is not None:
            self._silence.cancel()
        left = limit if socket.is_paused else socket.received_at + limit - self._loop.time()
        if left > 0:
            self._silence = self._loop.call_later(left, self._watch_silence, socket, limit)
        else:
            socket.fail(f"nothing was received for {limit:g} s")

    # ---- in

    def _handle_payload(self, payload: bytes) -> None:
        try:
            channel = self._session.receive(self._decode(payload))
        except (ValueError, KeyError, TypeError) as error:
            self.fail(f"the node sent a frame that can't be read: {error!r}")
            return
        if channel is not None and channel.inbox.is_full and channel.may_pause:
            self._hold_up(channel)
        if self._full:
            self._pause_or_resume()

    def _hold_up(self, channel: ChannelState) -> None:
        self._full = set() if self._full is None else self._full
        if channel not in self._full:
            self._full.add(channel)
            if not channel.is_read:
                self._loop.call_later(UNREAD_SECONDS, self._stop_waiting_for, channel)

    def _stop_waiting_for(self, channel: ChannelState) -> None:
        """Nobody has begun to read it: what it can't keep is read from the history if somebody does."""
        if not channel.is_read:
            channel.may_pause = False
            self._release(channel)

    def has_read(self, channel: ChannelState) -> None:
        """Messages were taken from its inbox."""
        if self._full and channel.inbox.is_low:
            self._release(channel)

    def _release(self, channel: ChannelState) -> None:
        if self._full and channel in self._full:
            self._full.discard(channel)
            self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        """Read on while a command waits for its answer: a reader that waits for it would never catch up."""
        if self.socket is not None and self._options.slow_reader is SlowReader.PAUSE:
            self.socket.set_reading(not self._full or len(self._session.pending) > 0)

    # ---- out

    def send(self, command: Frame) -> None:
        """Send a command without an answer, if there is a connection."""
        if self.socket is not None:
            wire = self._options.wire
            self.socket.send_payload(wire.encode(command), binary=wire.binary)

    async def exchange(self, command: Frame, on_answer: Callable[[Frame], None] | None = None) -> Frame | None:
        """Send a command at once, and return its answer, an `ok`, `error` or `pong`; None if the connection ended.

        `on_answer` is called before any later frame is handled. Raises CommandRefused if the command is larger than the
        node accepts, which would close the connection.
        """
        if self.socket is None or not self._session.is_live:
            return None
        answered: asyncio.Future[Frame | None] = self._loop.create_future()

        def handle(answer: Frame | None) -> None:
            if answer is not None and on_answer is not None:
                on_answer(answer)
            if not answered.done():
                answered.set_result(answer)

        pending, wire = self._session.pending, self._options.wire
        id = pending.add(handle)
        try:
            payload = wire.encode(command | {"id": id})
            self._check_size(payload)
            self.socket.send_payload(payload, binary=wire.binary)
            if self._full:
                self._pause_or_resume()
            return await answered
        finally:
            pending.discard(id)

    def _check_size(self, payload: bytes) -> None:
        limit = self._session.message_max_bytes
        if len(payload) > limit:
            raise CommandRefused(f"the command has {len(payload)} bytes, {limit} are allowed", code=ErrorCode.TOO_LARGE)
