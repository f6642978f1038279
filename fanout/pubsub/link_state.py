"""The subscriber link without I/O: which channels are wanted, what Redis has acknowledged, and whether it answers.

Intent and acknowledgement are kept apart. When a connection breaks, the acknowledgements are void; the intent stays and
is sent again on the next connection. Messages may have been missed in between: the barrier of the tracker finds them.

Redis can freeze without breaking any connection. So each `ECHO_PERIOD` the link publishes a nonce on a channel of its
own, the echo channel; if it does not come back within `ECHO_DEADLINE`, the connection is replaced. On the same channel
`server_proof.py` proves that the commands of the node reach the same server.

In a Redis Cluster a link goes to one master and receives the channels of its slots. When a slot moves, Redis
unsubscribes its channels without having been asked (they are `revoked`): the owner of the link subscribes to them at
the new master.

What becomes of one channel, by what is wanted and what Redis has acknowledged last:

    wanted  acknowledged  commands without an answer   state
    yes     subscribed    none                         subscribed: its messages come
    yes     unsubscribed  none                         sharded: revoked; else SUBSCRIBE is sent again
    no      unsubscribed  none                         gone: nothing is kept of it
    no      subscribed    none                         UNSUBSCRIBE is sent
    any     any           one or more                  undecided: Redis answers in order, so the last answer decides
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..redis.connection import Pushes, RedisConnection
from .server_proof import PROOF_PREFIX, ServerProof
from .verbs import PLAIN, Verbs

ECHO_PERIOD = 0.5
"""Seconds between two nonces on the echo channel: a frozen Redis is found out within two seconds."""
ECHO_DEADLINE = 1.5
"""Seconds that a nonce may take to come back: three periods, since a burst of messages may be in front of it."""

BARRIER_PREFIX = b"p"
"""First byte of the nonces that `Link.send_barrier` publishes; those of the link's own echo are decimal digits."""

Batch = list[tuple[bytes, bytes]]
"""Deliveries in the order in which Redis sent them: (channel, payload)."""


@dataclass(slots=True)
class LinkEvents:
    """What one call of the state machine has brought about."""

    deliveries: Batch = field(default_factory=list[tuple[bytes, bytes]])
    subscribed: list[bytes] = field(default_factory=list[bytes])
    """Wanted channels whose subscription Redis has acknowledged."""
    barriers: list[bytes] = field(default_factory=list[bytes])
    """Nonces of barriers that have come back."""
    proven_since: list[float] = field(default_factory=list[float])
    """When each nonce was published, over a command connection, that has come back; seconds of the loop's clock."""
    echoed: bool = False
    """The last nonce of the link's own has come back."""
    elsewhere: Sequence[RedisConnection] = ()
    """Command connections that go to another server than this link."""
    revoked: list[bytes] = field(default_factory=list[bytes])
    """Wanted channels that Redis has unsubscribed because their slot has moved."""
    unsubscribed: list[bytes] = field(default_factory=list[bytes])
    """Channels that are not wanted any more, and of which no message will come any more."""


class LinkState:
    """The state of one link, over one connection after another."""

    def __init__(self, echo_channel: bytes, verbs: Verbs = PLAIN) -> None:
        self._verbs = verbs
        self._subscribe_push = verbs.subscribe.lower().encode()
        self._unsubscribe_push = verbs.unsubscribe.lower().encode()
        self._echo = echo_channel
        self._wanted: set[bytes] = {echo_channel}
        self._changed: set[bytes] = set()  # channels whose intent has changed since the last `commands_to_send`
        self._unanswered: dict[bytes, int] = {}  # commands per channel that Redis has not answered
        self._acknowledged: set[bytes] = set()  # channels that Redis has subscribed, by its last answer
        self._suspect: set[bytes] = set()  # channels of a SUBSCRIBE that was refused: each gets a command of its own
        self._nonce = 0
        self._sent_at: float | None = None  # when the oldest nonce that has not come back was sent; monotonic seconds
        self._ticked_at: float | None = None
        self._echoed = False  # a nonce has come back on this connection
        self._restoring: set[bytes] = set()  # wanted when this connection began, and not acknowledged yet
        self.proof: ServerProof[RedisConnection] = ServerProof()
        self.connections = 0
        """How many connections there have been; the number of the present one."""
        self.connected = False

    # ---- intent

    def subscribe(self, channel: bytes) -> None:
        self._wanted.add(channel)
        self._changed.add(channel)

    def unsubscribe(self, channel: bytes) -> None:
        self._wanted.discard(channel)
        self._restoring.discard(channel)
        self._suspect.discard(channel)
        self._changed.add(channel)

    def is_subscribed(self, channel: bytes) -> bool:
        """Redis has acknowledged the subscription on this connection, and no command about it is unanswered."""
        return channel in self._acknowledged and channel in self._wanted and channel not in self._unanswered

    def may_deliver(self, channel: bytes) -> bool:
        """Messages of the channel may still come."""
        return channel in self._acknowledged or channel in self._unanswered

    @property
    def echo(self) -> bytes:
        return self._echo

    def move_echo(self, channel: bytes) -> None:
        """Use another echo channel from now on. Nonces that have not come back are not waited for any more."""
        self.unsubscribe(self._echo)
        self._echo = channel
        self._sent_at = None
        self.proof.clear()
        self.subscribe(channel)

    @property
    def is_live(self) -> bool:
        """All channels that were wanted when this connection began are acknowledged, and a nonce has come back."""
        return self.connected and self._echoed and not self._restoring

    @property
    def wanted(self) -> frozenset[bytes]:
        return frozenset(self._wanted)

    # ---- connections

    def on_connected(self, now: float) -> None:
        """`now`, here and below, is monotonic time in seconds."""
        self.connections += 1
        self.connected = True
        self._acknowledged.clear()
        self._unanswered.clear()
        self._changed = set(self._wanted)
        self._sent_at = None
        self._ticked_at = now
        self._echoed = False
        self._restoring = set(self._wanted)
        self.proof.clear()

    def on_disconnected(self) -> None:
        self.connected = False
        self._acknowledged.clear()
        self._unanswered.clear()
        self._changed.clear()

    # ---- commands

    def commands_to_send(self) -> list[tuple[str, list[bytes]]]:
        """(SUBSCRIBE or UNSUBSCRIBE, channels) for all that has changed; empty without a connection."""
        if not self.connected or not self._changed:
            return []
        changed, self._changed = self._changed, set()
        # Redis answers in order, so the last answer about a channel decides.
        joins = [c for c in changed if c in self._wanted and not self.is_subscribed(c)]
        leaves = [c for c in changed if c not in self._wanted and (c in self._acknowledged or c in self._unanswered)]
        joins.sort(key=lambda channel: channel != self._echo)
        for channel in (*joins, *leaves):
            self._unanswered[channel] = self._unanswered.get(channel, 0) + 1
        alone = [channel for channel in joins if channel in self._suspect]
        together = [channel for channel in joins if channel not in self._suspect]
        return [
            *((self._verbs.subscribe, [channel]) for channel in alone),
            *((self._verbs.subscribe, channels) for channels in self._verbs.group(together)),
            *((self._verbs.unsubscribe, channels) for channels in self._verbs.group(leaves)),
        ]

    def handle_refusal(self, channels: list[bytes]) -> None:
        """Redis has refused a SUBSCRIBE, since an ACL forbids one of its channels: each is tried alone, once."""
        for channel in channels:
            self._count_answer(channel)
            if len(channels) > 1:
                self._suspect.add(channel)
                self._changed.add(channel)
            else:
                self._restoring.discard(channel)  # it never will be subscribed; the other channels still are

    def handle_redirection(self, channels: list[bytes]) -> LinkEvents:
        """Redis has refused a command about these channels because their slot is not served here."""
        events = LinkEvents()
        for channel in channels:
            self._revoke(channel)
            self._settle(channel, events)
        return events

    def handle_pushes(self, pushes: Pushes) -> LinkEvents:
        events = LinkEvents()
        unread = iter(pushes)
        while not self._read_pushes(unread, events):
            pass  # RESP3: a client ignores pushes that it does not know
        return events

    def _read_pushes(self, pushes: Iterator[list[Any]], events: LinkEvents) -> bool:
        """False: the last one read has not three words, as all pushes of pub/sub have. (Checking each costs 8 %.)"""
        message = self._verbs.message
        try:
            for kind, channel, payload in pushes:
                if kind == message:
                    if channel == self._echo:
                        self._handle_echo(payload, events)
                    else:
                        events.deliveries.append((channel, payload))
                elif kind == self._subscribe_push:
                    self._acknowledged.add(channel)
                    self._settle(channel, events)
                elif kind == self._unsubscribe_push:
                    self._revoke(channel)
                    self._settle(channel, events)
        except ValueError:
            return False
        return True

    def _revoke(self, channel: bytes) -> None:
        self._acknowledged.discard(channel)
        if channel == self._echo:
            self.proof.clear()  # what was published meanwhile does not come

    def _handle_echo(self, payload: bytes, events: LinkEvents) -> None:
        if payload == b"%d" % self._nonce:
            self._sent_at = None
            self._echoed = events.echoed = True
            events.elsewhere = self.proof.end()
        elif payload.startswith(BARRIER_PREFIX):
            events.barriers.append(payload)
        elif payload.startswith(PROOF_PREFIX):
            if proven := self.proof.handle_nonce(payload):
                connection, sent_at = proven
                connection.confirmed_at = sent_at
                events.proven_since.append(sent_at)

    def _settle(self, channel: bytes, events: LinkEvents) -> None:
        """Note what the answer about a channel means, if it was the last one (see the table at the head)."""
        if not self._count_answer(channel):
            return
        self._restoring.discard(channel)
        if self.is_subscribed(channel):
            events.subscribed.append(channel)
        elif channel in self._acknowledged:
            self._changed.add(channel)  # not wanted: a revocation was counted as the answer to its SUBSCRIBE
        elif channel not in self._wanted:
            events.unsubscribed.append(channel)
        elif self._verbs.is_sharded:
            events.revoked.append(channel)
        else:
            self._changed.add(channel)  # Redis has unsubscribed a channel that is still wanted

    def _count_answer(self, channel: bytes) -> bool:
        """One command about this channel is answered. True if none is unanswered now."""
        left = self._unanswered.pop(channel, 0) - 1
        if left > 0:
            self._unanswered[channel] = left
        return left <= 0

    # ---- echo

    def tick(self, now: float) -> bytes | None:
        """To be called each ECHO_PERIOD. The nonce to publish on the echo channel, or b"" for none.

        None: a nonce has not come back in time, so the connection has to be replaced.
        """
        is_late = self._ticked_at is not None and now - self._ticked_at > 2 * ECHO_PERIOD
        self._ticked_at = now
        if self._sent_at is not None:
            # This process was suspended, and can't tell whether Redis was: the nonce gets its full time once more.
            if is_late:
                self._sent_at = now
            return None if now - self._sent_at > ECHO_DEADLINE else b""
        self._sent_at = now
        self._nonce += 1
        self.proof.begin()
        return b"%d" % self._nonce
