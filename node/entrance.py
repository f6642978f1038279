"""A connection on its way into a channel: subscribed first, then present, then in.

Presence is counted over another connection to Redis than the one that messages come by. What comes between the two is
kept at the hub's gate, so that a newcomer hears every event behind its snapshot, and none that the snapshot holds.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ..shared.channels import ChannelKind
from ..shared.errors import Refused, internal_error
from ..shared.messages import NodeFrame, Publication, Resync, Roll
from .hub import Gate, Member
from .services import Services
from .session import Enter, Session, Stay


class Arriving(Member, Protocol):
    """A connection, as its entrance sees it."""

    @property
    def session(self) -> Session: ...

    def entered(self, effect: Enter, stay: Stay, roll: Roll | None, kept: Sequence[Publication]) -> None:
        """It hears the channel. `roll`: who is in the room; `kept`: what was said since, to be sent behind it."""
        ...

    def not_entered(self, effect: Enter, refusal: Refused) -> None: ...
    def answer(self, node_frame: NodeFrame) -> None: ...


class Entrance:
    """Calls `entered` or `not_entered` once, unless it is abandoned before; then it leaves nothing behind."""

    __slots__ = ("_abandoned", "_effect", "_gate", "_member", "_services", "_stay")

    def __init__(self, services: Services, member: Arriving, effect: Enter) -> None:
        self._services = services
        self._member = member
        self._effect = effect
        self._stay = Stay(services.hub.known(effect.channel), services.next_stay())
        self._gate: Gate | None = None
        self._abandoned = False

    def begin(self) -> None:
        waiter = self._services.subscriber.acquire(self._stay.channel.address)
        if waiter is None:
            self._subscribed()
        else:
            waiter.add_done_callback(self._acknowledged)

    def abandon(self) -> None:
        """The connection ends."""
        self._abandoned = True
        if self._gate is not None:
            self._services.hub.dismiss(self._stay.channel, self._member)

    def _acknowledged(self, waiter: asyncio.Future[None]) -> None:
        channel, error = self._stay.channel, waiter.exception()
        if error is not None and channel.kind is ChannelKind.AGENT and self._services.places.let_in_unheard:
            if not self._abandoned:
                self._services.subscriber.hold(channel.address)
                self._subscribed()
        elif error is not None:
            self._fail(error)
        elif self._abandoned:
            self._services.subscriber.release(channel.address)
        else:
            self._subscribed()

    def _subscribed(self) -> None:
        channel, member = self._stay.channel, self._member
        if channel.kind is ChannelKind.AGENT:
            self._services.hub.add(channel, member)
            member.entered(self._effect, self._stay, None, ())
            return
        self._gate = self._services.hub.expect(channel, member)
        author = member.session.author
        assert author.user_id is not None
        assert author.username is not None
        roll = self._services.presence.join(channel, self._stay.number, author.user_id, author.username)
        roll.add_done_callback(self._counted)

    def _counted(self, done: asyncio.Future[Roll]) -> None:
        services, channel = self._services, self._stay.channel
        error = done.exception()
        if self._abandoned:
            services.subscriber.release(channel.address)
            if error is None:
                services.presence.leave(channel, self._stay.number)
        elif error is not None:
            services.hub.dismiss(channel, self._member)
            services.subscriber.release(channel.address)
            self._fail(error)
        else:
            roll = done.result()
            kept = services.hub.admit(channel, self._member, roll.version)
            self._member.entered(self._effect, self._stay, roll, kept)
            if self._gate is not None and self._gate.overflowed:
                self._member.answer(Resync(channel, "too much was said while this session joined"))

    def _fail(self, error: BaseException) -> None:
        if self._abandoned:
            return
        is_ours = not isinstance(error, Refused)
        self._member.not_entered(self._effect, error if isinstance(error, Refused) else internal_error())
        if is_ours:
            raise error


def exit_channel(services: Services, member: Arriving, stay: Stay) -> None:
    """The way out, for whoever has entered."""
    services.hub.remove(stay.channel, member)
    services.subscriber.release(stay.channel.address)
    if stay.channel.kind is ChannelKind.ROOM:
        services.presence.leave(stay.channel, stay.number)
