"""How a session joins a channel: subscribe, find the position in the history, become present, become a member.

Redis answers over other connections than the one on which the channel's events come. `delivery/roster.py` says how the
two are merged: from the subscription on events are buffered, and the snapshot says which of them it contains. The
position is found before the session becomes present: it receives what others publish in answer to its arrival.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from ...fanout.presence.presence import HeadUnknown, RoomJoin
from ...shared.channels import Channel, ChannelKind
from ...shared.errors import Unavailable
from ...shared.protocol.codec import encode_lazily
from ...shared.protocol.frames import Resync
from ...shared.protocol.presence_frames import PresenceSnapshot
from ...shared.publication import UNKNOWN_POSITION, Position, Publication, StartPosition
from ..delivery.roster import JoinBuffer, Member
from ..delivery.watermark import Watermark
from ..protocols.effects import JoinChannel, JoinedChannel
from .context import JoinContext


class Join(NamedTuple):
    """A completed join: the snapshot and the position that the session is sent, and the publications behind them."""

    channel: JoinedChannel
    snapshot: PresenceSnapshot | None
    start: StartPosition
    buffered: Sequence[Publication]

    @property
    def missed(self) -> tuple[Publication, ...]:
        """What was published between the client's position and now, and what was buffered during the join."""
        return (*self.start.missed, *self.buffered)


async def join_channel(context: JoinContext, member: Member, effect: JoinChannel) -> Join:
    """Make the session a member of the channel; it owes one `leave_channel`.

    From the return on the hub delivers to the session, so the caller must send the snapshot and what was buffered
    before it awaits anything. If this raises or is cancelled, it has given back all that it had taken. Raises
    Unavailable.
    """
    channel = context.hub.intern_channel(effect.channel)
    joined = JoinedChannel(channel, context.next_presence_number(), effect.observe)
    context.tracker.follow(channel)
    subscribed = context.subscriptions.acquire(channel.address)
    is_silent = False  # joined without a subscription, since Redis is away
    buffer: JoinBuffer | None = None
    present: asyncio.Future[RoomJoin] | None = None
    is_member = False
    try:
        if subscribed is not None:
            try:
                await subscribed
            except Unavailable:
                if not (channel.kind is ChannelKind.AGENT and context.admits_without_bus):
                    raise
                context.subscriptions.hold(channel.address)
                is_silent = True
        buffer = context.hub.begin_join(channel, member)
        context.look_at_streams(channel)
        becomes_present = channel.kind is ChannelKind.ROOM and not joined.observes
        start: StartPosition | None = None
        if is_silent:
            start = _start_silently(context, effect)
        elif not (becomes_present and _begins_at_head(context, channel, effect)):
            start = await _find_start(context, channel, effect.recover)
        snapshot: PresenceSnapshot | None = None
        if joined.observes:
            snapshot = await _list_present(context, channel)
        elif becomes_present:
            user = (member.session.user_id, member.session.username)
            present = context.presence.join(channel, joined.number, *user, with_head=start is None)
            try:
                snapshot, head = await present
            except HeadUnknown:
                start = await _find_start(context, channel, None)
                present = context.presence.join(channel, joined.number, *user)
                snapshot, head = await present
            if start is None:
                assert head is not None
                start = _start_at(context, channel, StartPosition(head))
        assert start is not None
        epoch, offset = start.position or UNKNOWN_POSITION
        seen = Watermark(0 if snapshot is None else snapshot.version, epoch, offset)
        buffered = context.hub.complete_join(channel, member, seen, context.tracker.position(channel))
        is_member = True
        if buffer.overflowed:
            buffered = _with_resync(channel, start, buffered)
    finally:
        if not is_member:
            if buffer is not None:
                context.hub.abandon_join(channel, member)
            if subscribed is None or is_silent or _is_held(subscribed):
                context.subscriptions.release(channel.address)
            if present is not None and _is_present(present):
                context.presence.leave(channel, joined.number)
    return Join(joined, snapshot, start, buffered)


def leave_channel(context: JoinContext, member: Member, joined: JoinedChannel) -> None:
    """Undo a completed join."""
    context.hub.remove(joined.channel, member)
    context.subscriptions.release(joined.channel.address)
    if joined.channel.kind is ChannelKind.ROOM and not joined.observes:
        context.presence.leave(joined.channel, joined.number)


def find_resyncs(context: JoinContext, member: Member) -> Iterator[Resync]:
    """Yield a `resync` for each channel of a member for which deliveries were dropped."""
    for joined in tuple(member.session.joined.values()):  # a frame too many closes, and leaves them all
        position = context.tracker.position(joined.channel)
        if position is not None and member.is_open:
            # What is still to be delivered up to there is not for it.
            position = context.hub.skip_to(joined.channel, member, Watermark(0, *position))
        yield Resync(joined.channel, "too slow to read: messages were dropped", position)


async def _list_present(context: JoinContext, room: Channel) -> PresenceSnapshot:
    """Return who is in a room, as one who joins it is told."""
    snapshot = await context.presence.snapshot(room, context.inline_max)
    return snapshot if snapshot.users_count <= context.inline_max else replace(snapshot, users=None)


async def _find_start(context: JoinContext, channel: Channel, recover: Position | None) -> StartPosition:
    """Return the position at which the session begins, with the missed messages if it asked for recovery."""
    if not context.history.is_kept:
        return StartPosition(None, None if recover is None else False)
    if recover is not None:
        start = await context.page_turns.run(
            1, lambda: context.history.recover(channel, recover, context.recover_max_bytes)
        )
    elif (position := context.tracker.position(channel)) is not None:
        return StartPosition(position)
    else:
        start = StartPosition(await context.history.head(channel))
    return _start_at(context, channel, start)


def _begins_at_head(context: JoinContext, channel: Channel, effect: JoinChannel) -> bool:
    """Whether the session begins at the head of the history, which this node does not know: one script tells it."""
    return context.history.is_kept and effect.recover is None and context.tracker.position(channel) is None


def _start_at(context: JoinContext, channel: Channel, start: StartPosition) -> StartPosition:
    assert start.position is not None
    context.tracker.start_at(channel, start.position)
    return start


def _start_silently(context: JoinContext, effect: JoinChannel) -> StartPosition:
    """Return where an agent's session begins while Redis is away: what it misses is announced with `resync` later."""
    channel = effect.channel
    context.tracker.follow(channel)
    context.tracker.reset_on_start(channel)
    return StartPosition(context.tracker.position(channel), None if effect.recover is None else False)


def _is_held(subscribed: asyncio.Future[None]) -> bool:
    """Whether an acquired subscription counts: it was rolled back if it failed, and not if it was cancelled."""
    return subscribed.cancelled() or subscribed.exception() is None


def _is_present(present: asyncio.Future[RoomJoin]) -> bool:
    """Whether the presence has to be left: one that failed or was cancelled is left by `Presence` itself."""
    return not present.cancelled() and present.exception() is None


def _with_resync(channel: Channel, start: StartPosition, buffered: list[Publication]) -> list[Publication]:
    """Put a `resync` in front: the join buffer overflowed, and this is where the rest of it begins."""
    numbered = next((publication for publication in buffered if publication.offset), None)
    position = start.position if numbered is None else Position(numbered.epoch, numbered.offset - 1)
    resync = Resync(channel, "too much was published while this session joined", position)
    return [Publication(encode_lazily(resync)), *buffered]
