"""The commands of one connection: frames in, in order, and the effects of the session carried out.

A command that waits for Redis is answered in the callback of a future. Each connection has a share of what is in flight
at once, in commands and in bytes: whoever uses it up waits, and nobody else does. It reads one page at a time. Commands
behind a join, or behind one that waits for its turn, wait until that is done; when too many wait, the transport stops
reading.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, assert_never

from ...shared.clock import rfc3339
from ...shared.codes import CloseCode
from ...shared.errors import BadName, BadRequest, Refused, internal_error
from ...shared.protocol.command_parser import BadCommand
from ...shared.protocol.frames import CommandId, ErrorFrame, Object, OkFrame
from ...shared.publication import Position
from ..auth.token_problems import TokenRefused
from ..operations.history import no_fields, position_fields
from ..operations.publishing import OWN_BYTES
from ..protocols.effects import (
    AskToStop,
    Effect,
    JoinChannel,
    LeaveChannel,
    PongReceived,
    Publish,
    PublishTyping,
    ReadHistory,
    ReadPresence,
    RefreshToken,
    Reply,
    SendToUser,
)
from .command_owner import CommandOwner
from .context import CommandContext
from .inbound import BadFrameCounter, FrameAllowance, InboundQueue
from .rate_check import RateCheck

IN_FLIGHT_MAX = 64
"""Commands of one connection that Redis has not confirmed yet; further ones wait."""
IN_FLIGHT_MAX_BYTES = 262_144
"""Bytes of their frames: one frame may exceed them, the next one waits."""

ReadsPage = ReadHistory | ReadPresence | JoinChannel


class CommandLoop:
    """A part of a connection."""

    __slots__ = (
        "_allowance",
        "_bad_frames",
        "_bytes_in_flight",
        "_connection",
        "_context",
        "_in_flight",
        "_is_reading",
        "_next_read",
        "_paced",
        "_rate_check",
        "_rests",
        "_turn",
        "_waiting",
    )

    def __init__(self, connection: CommandOwner, context: CommandContext) -> None:
        self._connection = connection
        self._context = context
        self._in_flight = 0
        self._bytes_in_flight = 0
        self._turn: asyncio.Future[None] | None = None  # for which a message waits
        self._is_reading = False  # a page, of which there is one at a time
        self._next_read: tuple[ReadsPage, int] | None = None  # what waits for that
        self._waiting: InboundQueue | None = None
        self._bad_frames: BadFrameCounter | None = None
        self._allowance: FrameAllowance | None = None
        self._paced = 0  # commands, since the last charge, that Redis was asked for
        self._rests = False  # until the next turn of the event loop
        self._rate_check = None if context.rates is None else RateCheck(connection, context, context.rates)

    # ---- frames in

    def charge_frames(self, frames: int) -> bool:
        """Charge the client for so many frames, of any kind, that have been handled; False: it has sent too many."""
        now = self._context.clock.monotonic()
        if self._allowance is None:
            self._allowance = FrameAllowance(now)
        paced, self._paced = self._paced, 0
        is_allowed = self._allowance.take(frames - paced, now)
        if not is_allowed:
            self._context.counters.flooding += 1
            self._context.charge_address(self._connection.address)
        return is_allowed

    def admit_ping(self, size: int) -> bool:
        """Whether to answer a ping frame with a payload of `size` bytes."""
        return self._rate_check is None or self._rate_check.admit_ping(size)

    def handle_frame(self, payload: bytes, binary: bool) -> None:
        """Handle one frame of the client, now or when those before it are done."""
        self._context.counters.frames_received += 1
        if self._waiting or self._has_to_wait:
            self._enqueue(payload, binary)
        else:
            self._handle(payload, binary)

    @property
    def _has_to_wait(self) -> bool:
        """Whether the next frame waits: for Redis, or until the client has read its answers."""
        connection = self._connection
        return (
            self._in_flight >= IN_FLIGHT_MAX
            or self._bytes_in_flight >= IN_FLIGHT_MAX_BYTES
            or self._turn is not None
            or self._rests
            or self._next_read is not None
            or connection.is_busy
            or connection.outbox.owes_answers
        )

    @property
    def waits_for_node(self) -> bool:
        """Whether frames of the client wait for earlier commands, and not for the client itself."""
        return bool(self._waiting) and not self._connection.outbox.owes_answers

    def _enqueue(self, payload: bytes, binary: bool) -> None:
        if self._waiting is None:
            self._waiting = InboundQueue()
        self._waiting.push(payload, binary)
        if self._waiting.is_full:
            self._connection.pause_reading()

    def resume(self) -> None:
        """Handle the frames that wait, up to the next command that has to wait itself."""
        connection = self._connection
        if self._next_read and not self._is_reading and connection.is_open and not connection.outbox.owes_answers:
            (effect, size), self._next_read = self._next_read, None
            self._carry_out(effect, size)
        while self._waiting and connection.is_open and not self._has_to_wait:
            self._handle(*self._waiting.pop())
        if not self._waiting and connection.is_open:
            connection.resume_reading()

    def _end_rest(self) -> None:
        self._rests = False
        self.resume()

    def discard_waiting(self) -> None:
        """Drop the frames that wait: the connection ends."""
        self._waiting = self._next_read = None
        if self._turn is not None:
            self._turn.cancel()

    def _handle(self, payload: bytes, binary: bool) -> None:
        connection = self._connection
        try:
            command = connection.encoding.decode_command(payload, binary)
        except BadCommand as bad:
            self.refuse(bad.id, bad.refusal)
            self._count_bad_frame()
            return
        if self._rate_check is not None:
            is_admitted = self._rate_check.admit_command(command, len(payload))
            self._rests = self._rate_check.rest_if_ahead(self._end_rest)
            if not is_admitted:
                return
        try:
            self._begin(connection.session.handle(command), len(payload))
        except Refused as refusal:
            self.refuse(command.id, refusal)
            if isinstance(refusal, (BadRequest, BadName, TokenRefused)):
                self._count_bad_frame()

    def _begin(self, effect: Effect, size: int) -> None:
        """Carry it out now, or else in its turn. `size`: bytes of the frame that the command came in."""
        match effect:
            case Publish() | SendToUser() if self._bytes_in_flight + size > OWN_BYTES:
                turn = self._context.publishing.turns.begin(size)
                if turn is None:
                    self._carry_out_in_turn(effect, size)
                else:
                    self._turn = turn
                    turn.add_done_callback(partial(self._take_turn, effect, size))
            case ReadHistory() | ReadPresence() | JoinChannel(recover=Position()) if self._is_reading:
                self._next_read = effect, size
            case _:
                self._carry_out(effect, size)

    def _take_turn(self, effect: Publish | SendToUser, size: int, turn: asyncio.Future[None]) -> None:
        self._turn = None
        if turn.cancelled():
            return
        if not self._connection.is_open or not self._connection.may_serve:
            self._context.publishing.turns.end(size)
            return
        self._carry_out_in_turn(effect, size)
        self.resume()

    def _carry_out_in_turn(self, effect: Publish | SendToUser, size: int) -> None:
        done = self._carry_out(effect, size)
        assert done is not None
        done.add_done_callback(lambda _: self._context.publishing.turns.end(size))

    def _carry_out(self, effect: Effect, size: int) -> asyncio.Future[Any] | None:
        """Return what Redis has to answer first, if anything."""
        connection, context = self._connection, self._context
        match effect:
            case Reply(frame):
                connection.answer(frame)
            case JoinChannel():
                self._paced += 1
                connection.start_join(effect)
            case LeaveChannel(joined, id):
                connection.leave_channel(joined)
                if id is not None:
                    connection.answer(OkFrame(id, {"room": joined.channel.name}))
            case Publish(channel, content, id, key):
                confirmed = context.publishing.publish(channel, connection.session.author, content, key=key)
                return self._answer_later(confirmed, id, size, position_fields)
            case PublishTyping(room, id):
                session = connection.session
                sent = context.publishing.publish_typing(
                    room, session.user_id, session.username, exclude=session.session_id
                )
                return self._answer_later(sent, id, size, no_fields)
            case SendToUser(to, content, id):
                counted = context.publishing.send_to_user(to, connection.session.author, content)
                return self._answer_later(counted, id, size, lambda sessions: {"sessions": sessions})
            case ReadPresence(channel, id):
                return self._read_page(context.presence_queries.get_channel(channel), id, size)
            case ReadHistory(channel, id, page):
                return self._read_page(context.history_queries.read_page(channel, page), id, size)
            case AskToStop(channel, stream_id, id):
                asked = asyncio.ensure_future(context.streams.stop(channel, stream_id))
                return self._answer_later(asked, id, size, no_fields)
            case PongReceived():
                connection.keepalive.confirm_ping()
            case RefreshToken(token, id):
                expires_at = connection.refresh_token(token)
                if id is not None:
                    connection.answer(OkFrame(id, {"expires_at": rfc3339(expires_at)}))
            case _:
                assert_never(effect)
        return None

    def _read_page(self, page: Coroutine[Any, Any, Object], id: CommandId, size: int) -> asyncio.Future[Object]:
        self._is_reading = True
        read = asyncio.ensure_future(page)
        read.add_done_callback(self._end_read)
        return self._answer_later(read, id, size, lambda fields: fields)

    def _end_read(self, read: asyncio.Future[Object]) -> None:
        self._is_reading = False

    # ---- answers

    def _answer_later(
        self, done: asyncio.Future[Any], id: CommandId | None, size: int, fields: Callable[[Any], Object]
    ) -> asyncio.Future[Any]:
        self._in_flight += 1
        self._paced += 1
        self._bytes_in_flight += size
        done.add_done_callback(partial(self._answer, id, size, fields))
        return done

    def _answer(
        self, id: CommandId | None, size: int, fields: Callable[[Any], Object], done: asyncio.Future[Any]
    ) -> None:
        self._in_flight -= 1
        self._bytes_in_flight -= size
        if done.cancelled():
            return  # the node ends
        error = done.exception()
        if not self._connection.is_open or not self._connection.may_serve:
            return
        if isinstance(error, Refused):
            self.refuse(id, error)
        elif error is not None:
            self.refuse(id, internal_error())
        elif id is not None:
            self._connection.answer(OkFrame(id, fields(done.result())))
        if self._waiting or self._next_read:
            self.resume()
        if error is not None and not isinstance(error, Refused):
            raise error  # a fault of ours: the event loop logs it

    def refuse(self, id: CommandId | None, refusal: Refused) -> None:
        """Answer a command with `error`."""
        self._context.counters.refused += 1
        self._connection.answer(ErrorFrame(id, refusal.code, refusal.message, refusal.retry_after))

    def _count_bad_frame(self) -> None:
        if self._bad_frames is None:
            self._bad_frames = BadFrameCounter()
        if self._bad_frames.add(self._context.clock.monotonic()):
            self._connection.close(CloseCode.BAD_FRAMES)
