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
from ...shared.protocol.codec import encode_when_asked
from ...shared.protocol.frames import NodeFrame, Resync, Roll
from ...shared.publication import NO_HISTORY, NOWHERE, Arrival, Position, Publication
from ..delivery.hub import Gate, Member, Seen
from ..protocols.session import Enter, Session, Stay
from .context import Services


class Arriving(Member, Protocol):
    """A connection, as its entrance sees it."""

    @property
    def session(self) -> Session: ...

    def entered(
        self, effect: Enter, stay: Stay, roll: Roll | None, arrival: Arrival, kept: Sequence[Publication]
    ) -> None:
        """It hears the channel. `roll`: who is in the room; `kept`: what was said since, to be sent behind it."""
        ...

    def not_entered(self, effect: Enter, refusal: Refused) -> None: ...
    def answer(self, node_frame: NodeFrame) -> None: ...


class Entrance:
    """Calls `entered` or `not_entered` once, unless it is abandoned before; then it leaves nothing behind."""

    __slots__ = ("_abandoned", "_arrival", "_effect", "_gate", "_member", "_services", "_stay")

    def __init__(self, services: Services, member: Arriving, effect: Enter) -> None:
        self._services = services
        self._member = member
        self._effect = effect
        self._stay = Stay(services.hub.known(effect.channel), services.next_stay())
        self._gate: Gate | None = None
        self._arrival = NO_HISTORY
        self._abandoned = False

    def begin(self) -> None:
        self._services.cursors.follow(self._stay.channel)
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
            self._gate = None

    # ---- subscribed

    def _acknowledged(self, waiter: asyncio.Future[None]) -> None:
        channel, error = self._stay.channel, waiter.exception()
        if error is not None and channel.kind is ChannelKind.AGENT and self._services.places.let_in_unheard:
            if not self._abandoned:
                self._services.subscriber.hold(channel.address)
                self._let_in_unheard()
        elif error is not None:
            self._fail(error)
        elif self._abandoned:
            self._services.subscriber.release(channel.address)
        else:
            self._subscribed()

    def _let_in_unheard(self) -> None:
        """Redis is away, and agents are served all the same: what can't be told now is told with `resync`."""
        services, channel = self._services, self._stay.channel
        services.cursors.follow(channel)
        services.cursors.unplaced(channel)
        self._gate = services.hub.expect(channel, self._member)
        position = services.cursors.position(channel)
        self._arrival = Arrival(position, None if self._effect.recover is None else False)
        self._enter(None)

    def _subscribed(self) -> None:
        services, channel, recover = self._services, self._stay.channel, self._effect.recover
        self._gate = services.hub.expect(channel, self._member)
        if not services.history.is_kept:
            self._placed(Arrival(None, None if recover is None else False))
        elif recover is not None:
            asked = services.history.recover(channel, recover, services.limits.max_bytes)
            asyncio.ensure_future(asked).add_done_callback(self._recovered)
        elif (position := services.cursors.position(channel)) is not None:
            self._placed(Arrival(position))
        else:
            services.history.head(channel).add_done_callback(self._found)

    # ---- placed

    def _found(self, asked: asyncio.Future[Position]) -> None:
        if error := asked.exception():
            self._turn_back(error)
        else:
            self._at(Arrival(asked.result()))

    def _recovered(self, asked: asyncio.Future[Arrival]) -> None:
        if error := asked.exception():
            self._turn_back(error)
        else:
            self._at(asked.result())

    def _at(self, arrival: Arrival) -> None:
        if self._abandoned:
            self._services.subscriber.release(self._stay.channel.address)
            return
        assert arrival.position is not None
        self._services.cursors.known(self._stay.channel, arrival.position)
        self._placed(arrival)

    def _placed(self, arrival: Arrival) -> None:
        self._arrival, channel, member = arrival, self._stay.channel, self._member
        if channel.kind is ChannelKind.AGENT:
            self._enter(None)
            return
        author = member.session.author
        assert author.user_id is not None
        assert author.username is not None
        roll = self._services.presence.join(channel, self._stay.number, author.user_id, author.username)
        roll.add_done_callback(self._counted)

    # ---- present

    def _counted(self, done: asyncio.Future[Roll]) -> None:
        services, channel = self._services, self._stay.channel
        error = done.exception()
        if error is not None:
            self._turn_back(error)
        elif self._abandoned:
            services.subscriber.release(channel.address)
            services.presence.leave(channel, self._stay.number)
        else:
            self._enter(done.result())

    def _enter(self, roll: Roll | None) -> None:
        services, channel, arrival, gate = self._services, self._stay.channel, self._arrival, self._gate
        assert gate is not None
        self._gate = None
        version, (epoch, offset) = 0 if roll is None else roll.version, arrival.position or NOWHERE
        seen = Seen(version, epoch, offset)
        kept = services.hub.admit(channel, self._member, seen, services.cursors.position(channel))
        if gate.overflowed:
            kept = self._behind_overflow(kept)
        self._member.entered(self._effect, self._stay, roll, arrival, kept)

    def _behind_overflow(self, kept: list[Publication]) -> list[Publication]:
        """Too much was said while the session joined: it is told where what it gets begins."""
        channel = self._stay.channel
        numbered = next((publication for publication in kept if publication.offset), None)
        position = None if numbered is None else Position(numbered.epoch, numbered.offset - 1)
        resync = Resync(channel, "too much was said while this session joined", position or self._arrival.position)
        return [Publication(encode_when_asked(resync)), *kept]

    # ---- not in

    def _turn_back(self, error: BaseException) -> None:
        """It does not come in after all."""
        self._services.subscriber.release(self._stay.channel.address)
        if self._gate is not None:
            self._services.hub.dismiss(self._stay.channel, self._member)
            self._gate = None
        self._fail(error)

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
