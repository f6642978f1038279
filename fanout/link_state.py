"""The subscriber link without I/O: what is wanted, what Redis has acknowledged, and whether the link still hears.

Intent and acknowledgement are kept apart. A connection that breaks takes the acknowledgements with it; intent stays
and is restored on the next one. Each connection is a new *incarnation*: whatever arrived before may have been followed
by a hole.

Redis can freeze without breaking any connection. So the link hears itself: each `ECHO_PERIOD` it publishes a nonce on
its own echo channel, and one that does not come back within `ECHO_DEADLINE` proves the link deaf.
"""

from dataclasses import dataclass, field

from .wire import Pushes

ECHO_PERIOD = 0.5
ECHO_DEADLINE = 1.5
BATCH = 512
"""Channels in one SUBSCRIBE: long enough to be cheap, short enough not to stall Redis."""

Batch = list[tuple[bytes, bytes]]
"""Deliveries in the order of the bus: (channel, payload)."""


@dataclass(slots=True)
class LinkEvents:
    """What one call of the state machine brought about."""

    deliveries: Batch = field(default_factory=list[tuple[bytes, bytes]])
    confirmed: list[bytes] = field(default_factory=list[bytes])


class LinkState:
    """The subscriber link without I/O: pushes in, events and bytes out."""

    def __init__(self, echo_channel: bytes) -> None:
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
            *(("SUBSCRIBE", [channel]) for channel in alone),
            *(("SUBSCRIBE", together[start : start + BATCH]) for start in range(0, len(together), BATCH)),
            *(("UNSUBSCRIBE", leaves[start : start + BATCH]) for start in range(0, len(leaves), BATCH)),
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

    def received(self, pushes: Pushes) -> LinkEvents:
        events = LinkEvents()
        for kind, channel, payload in pushes:
            if kind == b"message":
                if channel == self._echo:
                    if payload == b"%d" % self._nonce:
                        self._asked_at = None
                        self._heard_itself = True
                else:
                    events.deliveries.append((channel, payload))
            elif kind == b"subscribe":
                self._confirmed.add(channel)
                self._acknowledged(channel, events)
            elif kind == b"unsubscribe":
                self._confirmed.discard(channel)
                self._acknowledged(channel, events)
        return events

    def _acknowledged(self, channel: bytes, events: LinkEvents) -> None:
        if not self._answered(channel):
            return
        self._restoring.discard(channel)
        if self.is_confirmed(channel):
            events.confirmed.append(channel)
        elif channel in self._wanted:
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
