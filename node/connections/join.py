"""A connection on its way into a channel: subscribed first, then at a place in its history, then present, then in.

What is asked of Redis comes over other connections than what the channel says. What comes between the two is kept at
the hub's gate, so that a newcomer hears every event behind its snapshot, and none that the snapshot holds. The place in
history is found before anybody is told of the newcomer: who answers to its arrival is heard by it.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ...shared.channels import ChannelKind
from ...shared.errors import Refused, internal_error
from ...shared.protocol.codec import encode_lazily
from ...shared.protocol.frames import NodeFrame, PresenceSnapshot, Resync
from ...shared.publication import NO_HISTORY, UNKNOWN_POSITION, Position, Publication, StartPosition
from ..delivery.roster import JoinBuffer, Member
from ..delivery.watermark import Watermark
from ..protocols.effects import JoinChannel, JoinedChannel
from ..protocols.session import Session
from .context import ConnectionContext


class Arriving(Member, Protocol):
    """A connection, as its entrance sees it."""

    @property
    def session(self) -> Session: ...

    def entered(
        self,
        effect: JoinChannel,
        joined: JoinedChannel,
        snapshot: PresenceSnapshot | None,
        start: StartPosition,
        kept: Sequence[Publication],
    ) -> None:
        """It hears the channel. `roll`: who is in the room; `kept`: what was said since, to be sent behind it."""
        ...

    def not_entered(self, effect: JoinChannel, refusal: Refused) -> None: ...
    def answer(self, node_frame: NodeFrame) -> None: ...


class ChannelJoin:
    """Calls `entered` or `not_entered` once, unless it is abandoned before; then it leaves nothing behind."""

    __slots__ = ("_abandoned", "_buffer", "_context", "_effect", "_joined", "_member", "_start")

    def __init__(self, context: ConnectionContext, member: Arriving, effect: JoinChannel) -> None:
        self._context = context
        self._member = member
        self._effect = effect
        self._joined = JoinedChannel(context.hub.intern_channel(effect.channel), context.next_presence_number())
        self._buffer: JoinBuffer | None = None
        self._start = NO_HISTORY
        self._abandoned = False

    def begin(self) -> None:
        self._context.tracker.follow(self._joined.channel)
        waiter = self._context.subscriptions.acquire(self._joined.channel.address)
        if waiter is None:
            self._subscribed()
        else:
            waiter.add_done_callback(self._acknowledged)

    def abandon(self) -> None:
        """The connection ends."""
        self._abandoned = True
        if self._buffer is not None:
            self._context.hub.abandon_join(self._joined.channel, self._member)
            self._buffer = None

    # ---- subscribed

    def _acknowledged(self, waiter: asyncio.Future[None]) -> None:
        channel, error = self._joined.channel, waiter.exception()
        if error is not None and channel.kind is ChannelKind.AGENT and self._context.session_leases.let_in_unheard:
            if not self._abandoned:
                self._context.subscriptions.hold(channel.address)
                self._let_in_unheard()
        elif error is not None:
            self._fail(error)
        elif self._abandoned:
            self._context.subscriptions.release(channel.address)
        else:
            self._subscribed()

    def _let_in_unheard(self) -> None:
        """Redis is away, and agents are served all the same: what can't be told now is told with `resync`."""
        context, channel = self._context, self._joined.channel
        context.tracker.follow(channel)
        context.tracker.unplaced(channel)
        self._buffer = context.hub.begin_join(channel, self._member)
        position = context.tracker.position(channel)
        self._start = StartPosition(position, None if self._effect.recover is None else False)
        self._enter(None)

    def _subscribed(self) -> None:
        context, channel, recover = self._context, self._joined.channel, self._effect.recover
        self._buffer = context.hub.begin_join(channel, self._member)
        if not context.history.is_kept:
            self._placed(StartPosition(None, None if recover is None else False))
        elif recover is not None:
            asked = context.history.recover(channel, recover, context.limits.max_bytes)
            asyncio.ensure_future(asked).add_done_callback(self._recovered)
        elif (position := context.tracker.position(channel)) is not None:
            self._placed(StartPosition(position))
        else:
            context.history.head(channel).add_done_callback(self._found)

    # ---- placed

    def _found(self, asked: asyncio.Future[Position]) -> None:
        if error := asked.exception():
            self._turn_back(error)
        else:
            self._at(StartPosition(asked.result()))

    def _recovered(self, asked: asyncio.Future[StartPosition]) -> None:
        if error := asked.exception():
            self._turn_back(error)
        else:
            self._at(asked.result())

    def _at(self, start: StartPosition) -> None:
        if self._abandoned:
            self._context.subscriptions.release(self._joined.channel.address)
            return
        assert start.position is not None
        self._context.tracker.known(self._joined.channel, start.position)
        self._placed(start)

    def _placed(self, start: StartPosition) -> None:
        self._start, channel, member = start, self._joined.channel, self._member
        if channel.kind is ChannelKind.AGENT:
            self._enter(None)
            return
        author = member.session.author
        assert author.user_id is not None
        assert author.username is not None
        snapshot = self._context.presence.join(channel, self._joined.number, author.user_id, author.username)
        snapshot.add_done_callback(self._counted)

    # ---- present

    def _counted(self, done: asyncio.Future[PresenceSnapshot]) -> None:
        context, channel = self._context, self._joined.channel
        error = done.exception()
        if error is not None:
            self._turn_back(error)
        elif self._abandoned:
            context.subscriptions.release(channel.address)
            context.presence.leave(channel, self._joined.number)
        else:
            self._enter(done.result())

    def _enter(self, snapshot: PresenceSnapshot | None) -> None:
        context, channel, start, buffer = self._context, self._joined.channel, self._start, self._buffer
        assert buffer is not None
        self._buffer = None
        version, (epoch, offset) = 0 if snapshot is None else snapshot.version, start.position or UNKNOWN_POSITION
        seen = Watermark(version, epoch, offset)
        kept = context.hub.complete_join(channel, self._member, seen, context.tracker.position(channel))
        if buffer.overflowed:
            kept = self._behind_overflow(kept)
        self._member.entered(self._effect, self._joined, snapshot, start, kept)

    def _behind_overflow(self, kept: list[Publication]) -> list[Publication]:
        """Too much was said while the session joined: it is told where what it gets begins."""
        channel = self._joined.channel
        numbered = next((publication for publication in kept if publication.offset), None)
        position = None if numbered is None else Position(numbered.epoch, numbered.offset - 1)
        resync = Resync(channel, "too much was said while this session joined", position or self._start.position)
        return [Publication(encode_lazily(resync)), *kept]

    # ---- not in

    def _turn_back(self, error: BaseException) -> None:
        """It does not come in after all."""
        self._context.subscriptions.release(self._joined.channel.address)
        if self._buffer is not None:
            self._context.hub.abandon_join(self._joined.channel, self._member)
            self._buffer = None
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._abandoned:
            return
        is_ours = not isinstance(error, Refused)
        self._member.not_entered(self._effect, error if isinstance(error, Refused) else internal_error())
        if is_ours:
            raise error


def leave_channel(context: ConnectionContext, member: Arriving, joined: JoinedChannel) -> None:
    """The way out, for whoever has entered."""
    context.hub.remove(joined.channel, member)
    context.subscriptions.release(joined.channel.address)
    if joined.channel.kind is ChannelKind.ROOM:
        context.presence.leave(joined.channel, joined.number)
