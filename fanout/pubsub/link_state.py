"""The subscriber link without I/O: what is wanted, what Redis has acknowledged, and whether the link still hears.

Intent and acknowledgement are kept apart. A connection that breaks takes the acknowledgements with it; intent stays
and is restored on the next one. Each connection is a new *incarnation*: whatever arrived before may have been followed
by a hole.

Redis can freeze without breaking any connection. So the link hears itself: each `ECHO_PERIOD` it publishes a nonce on
its own echo channel, and one that does not come back within `ECHO_DEADLINE` proves the link deaf.

In a Redis Cluster a link goes to one master, and hears the channels of its slots. A slot that moves takes them away,
unasked: whoever owns the link is told which, since no other command will bring them back here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ...shared.keyspace import partition_of
from ..redis.connection import Pushes

ECHO_PERIOD = 0.5
ECHO_DEADLINE = 1.5
BATCH = 512
"""Channels in one SUBSCRIBE: long enough to be cheap, short enough not to stall Redis."""

PROOF = b"p"
"""Begins the nonces on which `Link.proof` waits."""

Batch = list[tuple[bytes, bytes]]
"""Deliveries in the order of the bus: (channel, payload)."""


@dataclass(frozen=True, slots=True)
class Verbs:
    """How to subscribe and to publish, and what Redis pushes then. `slot_of`: channels of one command share it."""

    subscribe: str
    unsubscribe: str
    publish: str
    message: bytes
    slot_of: Callable[[bytes], int] | None = None

    @property
    def is_sharded(self) -> bool:
        return self.slot_of is not None

    def pieces(self, channels: Iterable[bytes]) -> list[list[bytes]]:
        """What one command may name, at the most BATCH channels of it, in order."""
        slots: dict[int, list[bytes]] = {}
        for channel in channels:
            slots.setdefault(self.slot_of(channel) if self.slot_of else 0, []).append(channel)
        return [all[start : start + BATCH] for all in slots.values() for start in range(0, len(all), BATCH)]


PLAIN = Verbs("SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH", b"message")
SHARDED = Verbs("SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH", b"smessage", partition_of)


@dataclass(slots=True)
class LinkEvents:
    """What one call of the state machine brought about."""

    deliveries: Batch = field(default_factory=list[tuple[bytes, bytes]])
    confirmed: list[bytes] = field(default_factory=list[bytes])
    proofs: list[bytes] = field(default_factory=list[bytes])
    """Nonces of proofs that have come back."""
    taken: list[bytes] = field(default_factory=list[bytes])
    """What Redis took away, unasked, because its slot has moved."""
    left: list[bytes] = field(default_factory=list[bytes])
    """What is not wanted any more, and not heard any more."""


class LinkState:
    """The subscriber link without I/O: pushes in, events and bytes out."""

    def __init__(self, echo_channel: bytes, verbs: Verbs = PLAIN) -> None:
        self._verbs = verbs
        self._subscribed = verbs.subscribe.lower().encode()
        self._unsubscribed = verbs.unsubscribe.lower().encode()
        self._echo = echo_channel
        self._wanted: set[bytes] = {echo_channel}
        self._dirty: set[bytes] = set()  # intent changed since the last `commands_to_send`
        self._unanswered: dict[bytes, int] = {}  # commands per channel that Redis has not acknowledged
        self._confirmed: set[bytes] = set()
        self._suspect: set[bytes] = set()  # of a SUBSCRIBE that was refused: asked for alone
        self._nonce = 0
        self._asked_at: float | None = None  # when the oldest nonce still out was sent
        self._ticked_at: float | None = None
        self._heard_itself = False
        self._restoring: set[bytes] = set()  # wanted when this incarnation began, and not confirmed yet
        self.incarnation = 0
        self.connected = False

    # ---- intent

    def want(self, channel: bytes) -> None:
        self._wanted.add(channel)
        self._dirty.add(channel)

    def unwant(self, channel: bytes) -> None:
        self._wanted.discard(channel)
        self._restoring.discard(channel)
        self._suspect.discard(channel)
        self._dirty.add(channel)

    def is_confirmed(self, channel: bytes) -> bool:
        """Redis has acknowledged the subscription, on this incarnation, and nothing contrary is under way."""
        return channel in self._confirmed and channel in self._wanted and channel not in self._unanswered

    def holds(self, channel: bytes) -> bool:
        """Something of it may still come."""
        return channel in self._confirmed or channel in self._unanswered

    @property
    def echo(self) -> bytes:
        return self._echo

    def move_echo(self, channel: bytes) -> None:
        """The link hears itself on another channel from now on. Nonces that were out will not be waited for."""
        self.unwant(self._echo)
        self._echo = channel
        self._asked_at = None
        self.want(channel)

    @property
    def is_live(self) -> bool:
        """All that was wanted when this incarnation began is confirmed, and the link has heard its own echo."""
        return self.connected and self._heard_itself and not self._restoring

    @property
    def wanted(self) -> frozenset[bytes]:
        return frozenset(self._wanted)

    # ---- life of the connection

    def opened(self, now: float) -> None:
        self.incarnation += 1
        self.connected = True
        self._confirmed.clear()
        self._unanswered.clear()
        self._dirty = set(self._wanted)
        self._asked_at = None
        self._ticked_at = now
        self._heard_itself = False
        self._restoring = set(self._wanted)

    def closed(self) -> None:
        self.connected = False
        self._confirmed.clear()
        self._unanswered.clear()
        self._dirty.clear()

    # ---- bytes

    def commands_to_send(self) -> list[tuple[str, list[bytes]]]:
        """SUBSCRIBE and UNSUBSCRIBE, with their channels, for all that changed; empty without a connection."""
        if not self.connected or not self._dirty:
            return []
        dirty, self._dirty = self._dirty, set()
        # Redis answers in order, so a channel's last acknowledgement tells its final state.
        joins = [c for c in dirty if c in self._wanted and not self.is_confirmed(c)]
        leaves = [c for c in dirty if c not in self._wanted and (c in self._confirmed or c in self._unanswered)]
        joins.sort(key=lambda channel: channel != self._echo)
        for channel in (*joins, *leaves):
            self._unanswered[channel] = self._unanswered.get(channel, 0) + 1
        alone = [channel for channel in joins if channel in self._suspect]
        together = [channel for channel in joins if channel not in self._suspect]
        return [
            *((self._verbs.subscribe, [channel]) for channel in alone),
            *((self._verbs.subscribe, piece) for piece in self._verbs.pieces(together)),
            *((self._verbs.unsubscribe, piece) for piece in self._verbs.pieces(leaves)),
        ]

    def refused(self, channels: list[bytes]) -> None:
        """Redis has refused a SUBSCRIBE (an ACL forbids one of its channels): each is tried alone, once."""
        for channel in channels:
            self._answered(channel)
            if len(channels) > 1:
                self._suspect.add(channel)
                self._dirty.add(channel)
            else:
                self._restoring.discard(channel)  # it never will be heard; the others still are

    def moved(self, channels: list[bytes]) -> LinkEvents:
        """Redis has refused a command about these: their slot is not here, or not any more."""
        events = LinkEvents()
        for channel in channels:
            self._confirmed.discard(channel)
            self._acknowledged(channel, events)
        return events

    def received(self, pushes: Pushes) -> LinkEvents:
        events = LinkEvents()
        message = self._verbs.message
        for kind, channel, payload in pushes:
            if kind == message:
                if channel == self._echo:
                    if payload == b"%d" % self._nonce:
                        self._asked_at = None
                        self._heard_itself = True
                    elif payload.startswith(PROOF):
                        events.proofs.append(payload)
                else:
                    events.deliveries.append((channel, payload))
            elif kind == self._subscribed:
                self._confirmed.add(channel)
                self._acknowledged(channel, events)
            elif kind == self._unsubscribed:
                self._confirmed.discard(channel)
                self._acknowledged(channel, events)
        return events

    def _acknowledged(self, channel: bytes, events: LinkEvents) -> None:
        if not self._answered(channel):
            return
        self._restoring.discard(channel)
        if self.is_confirmed(channel):
            events.confirmed.append(channel)
        elif channel not in self._wanted:
            events.left.append(channel)
        elif self._verbs.is_sharded:
            events.taken.append(channel)
        else:
            self._dirty.add(channel)  # Redis took away, unasked, what we still want

    def _answered(self, channel: bytes) -> bool:
        """One command of this channel has its answer; True if none is under way any more."""
        left = self._unanswered.get(channel, 0) - 1
        if left > 0:
            self._unanswered[channel] = left
            return False
        self._unanswered.pop(channel, None)
        return True

    # ---- echo

    def tick(self, now: float) -> bytes | None:
        """Called each ECHO_PERIOD: the nonce to publish on the echo channel, if any. None: the link is deaf."""
        late = self._ticked_at is not None and now - self._ticked_at > 2 * ECHO_PERIOD
        self._ticked_at = now
        if self._asked_at is not None:
            # A node that was frozen itself must not judge by a clock that ran on without it.
            if late:
                self._asked_at = now
            return None if now - self._asked_at > ECHO_DEADLINE else b""
        self._asked_at = now
        self._nonce += 1
        return b"%d" % self._nonce
