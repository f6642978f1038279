"""What one session says, and what it is answered: commands in, in order, and their effects carried out.

A command that has to wait for Redis goes on in the callback of a future; those that follow a `join` wait behind it,
and when too many wait the carrier stops reading. Opening, keepalive and the end are `connection.py`'s.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, assert_never

from ...shared.codes import CloseCode
from ...shared.errors import BadName, BadRequest, Refused, internal_error
from ...shared.names import UserId
from ...shared.protocol.commands import BadCommand
from ...shared.protocol.frames import CommandId, ErrorFrame, NodeFrame, Object, OkFrame, PresenceSnapshot
from ...shared.publication import Publication, StartPosition
from ..delivery.outbox import Outbox
from ..operations.history import position_fields, read_page
from ..protocols.effects import (
    Effect,
    JoinChannel,
    JoinedChannel,
    LeaveChannel,
    PongReceived,
    Publish,
    PublishTyping,
    ReadHistory,
    ReadPresence,
    Reply,
    SendToUser,
)
from ..protocols.encoding import Encoding
from ..protocols.session import Session
from .context import ConnectionContext
from .inbound import BadFrameCounter, InboundQueue
from .join import ChannelJoin, leave_channel

UNDER_WAY_MAX = 64
"""Commands of one connection that Redis has not confirmed yet; further ones wait."""


class CommandLoop(ABC):
    """The half of a connection that follows its commands."""

    __slots__ = ("_bad_frames", "_context", "_entrance", "_under_way", "_waiting", "encoding", "outbox", "session")

    def __init__(self, context: ConnectionContext, session: Session, encoding: Encoding, outbox: Outbox) -> None:
        self.session = session
        self.encoding = encoding
        self.outbox = outbox
        self._context = context
        self._entrance: ChannelJoin | None = None  # a channel is being entered
        self._under_way = 0
        self._waiting: InboundQueue | None = None
        self._bad_frames: BadFrameCounter | None = None

    # ---- the other half

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Between `welcome` and `bye`."""

    @property
    @abstractmethod
    def is_arriving(self) -> bool:
        """Still before `welcome`: there is no place for it yet, or it is entering its home."""

    @property
    @abstractmethod
    def may_serve(self) -> bool:
        """Whether this session may be sent anything: its leases, if it has any, cannot be another's by now."""

    @abstractmethod
    def close(self, code: CloseCode) -> None: ...
    @abstractmethod
    def welcome(self, snapshot: PresenceSnapshot | None, start: StartPosition) -> None: ...
    @abstractmethod
    def answered_ping(self) -> None: ...
    @abstractmethod
    def pause_reading(self) -> None: ...
    @abstractmethod
    def resume_reading(self) -> None: ...

    @property
    def user_id(self) -> UserId:
        return self.session.user_id

    # ---- commands in

    def hear(self, payload: bytes, binary: bool) -> None:
        """One frame of the client's."""
        self._context.received += 1
        if self.is_arriving or self._entrance or self._waiting or self._under_way >= UNDER_WAY_MAX:
            self._wait(payload, binary)
        else:
            self._handle(payload, binary)

    def _wait(self, payload: bytes, binary: bool) -> None:
        if self._waiting is None:
            self._waiting = InboundQueue()
        self._waiting.push(payload, binary)
        if self._waiting.is_full:
            self.pause_reading()

    def _go_on(self) -> None:
        """Handle what has waited, up to the next command that has to wait itself."""
        while self._waiting and self.is_open and not self._entrance and self._under_way < UNDER_WAY_MAX:
            self._handle(*self._waiting.pop())
        if not self._waiting and self.is_open:
            self.resume_reading()

    def _handle(self, payload: bytes, binary: bool) -> None:
        try:
            command = self.encoding.decode_command(payload, binary)
        except BadCommand as bad:
            self._refuse(bad.id, bad.refusal)
            self._count_bad_frame()
            return
        try:
            self._perform(self.session.handle(command))
        except Refused as refusal:
            self._refuse(command.id, refusal)
            if isinstance(refusal, (BadRequest, BadName)):
                self._count_bad_frame()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Reply(answer):
                self.answer(answer)
            case JoinChannel():
                self.enter(effect)
            case LeaveChannel(joined, id):
                self.leave_channel(joined)
                if id is not None:
                    self.answer(OkFrame(id, {"room": joined.channel.name}))
            case Publish(channel, content, id, key):
                confirmed = self._context.publishing.publish(channel, self.session.author, content, key=key)
                self._answer_later(confirmed, id, position_fields)
            case PublishTyping(room, id):
                session = self.session
                confirmed = self._context.publishing.publish_typing(
                    room, session.user_id, session.username, exclude=session.session_id
                )
                self._answer_later(confirmed, id, _no_fields)
            case SendToUser(to, content, id):
                sent = self._context.publishing.send_to_user(to, self.session.author, content)
                self._answer_later(sent, id, lambda sessions: {"sessions": sessions})
            case ReadPresence(channel, id):
                called = asyncio.ensure_future(self._context.presence_queries.call(channel))
                self._answer_later(called, id, lambda fields: fields)
            case ReadHistory(channel, id, page):
                self._answer_later(read_page(self._context.history, channel, page), id, lambda fields: fields)
            case PongReceived():
                self.answered_ping()
            case _:
                assert_never(effect)

    # ---- channels

    def enter(self, effect: JoinChannel) -> None:
        self._entrance = ChannelJoin(self._context, self, effect)
        self._entrance.begin()

    def entered(
        self,
        effect: JoinChannel,
        joined: JoinedChannel,
        snapshot: PresenceSnapshot | None,
        start: StartPosition,
        kept: Sequence[Publication],
    ) -> None:
        self._entrance = None
        self.session.add_joined(joined)
        if not self.may_serve:
            return
        if self.is_arriving:
            self.welcome(snapshot, start)
        elif ok := self.session.join_ok(joined.channel, effect.id, snapshot, start):
            self.answer(ok)
        if (start.missed or kept) and self.is_open:
            self.outbox.write(self.encoding.publications_for((*start.missed, *kept), self.session.session_id))
        self._go_on()

    def not_entered(self, effect: JoinChannel, refusal: Refused) -> None:
        self._entrance = None
        if not self.may_serve:
            return
        if self.is_arriving:
            self.close(CloseCode.TRY_AGAIN_LATER)
        else:
            self._refuse(effect.id, refusal)
        self._go_on()

    def leave_channel(self, joined: JoinedChannel) -> None:
        self.session.remove_joined(joined)
        leave_channel(self._context, self, joined)

    def leave_everything(self) -> None:
        """Nothing more is delivered, and nothing that was said is followed any more."""
        self.outbox.discard()
        if self._entrance is not None:
            self._entrance.abandon()
            self._entrance = None
        for joined in tuple(self.session.joined.values()):
            self.leave_channel(joined)
        self._waiting = None

    # ---- answers that wait for Redis

    def _answer_later(self, done: asyncio.Future[Any], id: CommandId | None, fields: Callable[[Any], Object]) -> None:
        self._under_way += 1
        done.add_done_callback(partial(self._done, id, fields))

    def _done(self, id: CommandId | None, fields: Callable[[Any], Object], done: asyncio.Future[Any]) -> None:
        self._under_way -= 1
        error = done.exception()
        if not self.is_open or not self.may_serve:
            return
        if isinstance(error, Refused):
            self._refuse(id, error)
        elif error is not None:
            self._refuse(id, internal_error())
        elif id is not None:
            self.answer(OkFrame(id, fields(done.result())))
        if self._waiting:
            self._go_on()
        if error is not None and not isinstance(error, Refused):
            raise error  # ours to mend: the event loop logs it

    # ---- answers out

    def answer(self, node_frame: NodeFrame) -> None:
        """Send one frame to this session alone."""
        self.outbox.write_direct(self.encoding.frame(node_frame))

    def _refuse(self, id: CommandId | None, refusal: Refused) -> None:
        self._context.refused += 1
        self.answer(ErrorFrame(id, refusal.code, refusal.message, refusal.retry_after))

    def _count_bad_frame(self) -> None:
        if self._bad_frames is None:
            self._bad_frames = BadFrameCounter()
        if self._bad_frames.one_more(self._context.clock.monotonic()):
            self.close(CloseCode.BAD_FRAMES)


def _no_fields(result: object) -> Object:
    """Return the fields of an `ok` that carries none."""
    return {}
