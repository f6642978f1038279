"""The seal of control messages, and the refusal of those that are played again.

    16 bytes  the seal of what follows, for the channel on which it is published
    8 bytes   the sender: one start of one node, named at random
    8 bytes   when it was sent: milliseconds of Unix time, by the clock of the sender
    8 bytes   its number: that of the sender's message before, plus 1
    …         the message (`codec.py`)

A recorded message could close sessions that have come since. So a node accepts each number of a sender once, and none
that is older than CLOCKS_DIFFER_SECONDS: what it has to remember is bounded by that time.
"""

import itertools
import secrets
import struct

from ...shared.clock import Clock
from ...shared.errors import MalformedBytes
from ..pubsub.seal import SEAL_BYTES, Seal

CLOCKS_DIFFER_SECONDS = 30.0
"""How far the clocks of two nodes may be apart: beyond it they refuse each other's messages."""
NUMBERS_REMEMBERED = 1024
"""Of each sender, back from the highest: what comes later than so many that were sent after it counts as repeated."""
SENDERS_MAX = 10_000
"""Starts of nodes within 2 * CLOCKS_DIFFER_SECONDS. Messages of further ones are refused until some are older."""
_HEADER = struct.Struct(">8sQQ")
_MASK = (1 << NUMBERS_REMEMBERED) - 1


class _Sender:
    """What has come of one sender: the highest number, the ones below it as bits, and when the latest was sent."""

    __slots__ = ("highest", "latest", "seen")

    def __init__(self) -> None:
        self.highest = 0
        self.seen = 0  # bit n: the number `highest - n` has come
        self.latest = 0.0

    def accept(self, number: int) -> bool:
        """Whether this number has not come yet; from now on it has."""
        if number > self.highest:
            self.seen = (self.seen << min(number - self.highest, NUMBERS_REMEMBERED) | 1) & _MASK
            self.highest = number
            return True
        bit = 1 << self.highest - number if self.highest - number < NUMBERS_REMEMBERED else 0
        is_new = bit > 0 and not self.seen & bit
        self.seen |= bit
        return is_new


class ReplayGuard:
    """Accepts each message once. All times are seconds of Unix time."""

    def __init__(self) -> None:
        self._senders: dict[bytes, _Sender] = {}  # bounded by SENDERS_MAX

    def find_refusal(self, sender: bytes, sent_at: float, number: int, now: float) -> str | None:
        """Why a message is refused; None: it is accepted, and refused from now on."""
        if abs(now - sent_at) > CLOCKS_DIFFER_SECONDS:
            return (
                f"sent {now - sent_at:.0f} s ago: it is played again, or the clocks of two nodes differ by more than "
                f"{CLOCKS_DIFFER_SECONDS:g} s"
            )
        known = self._senders.get(sender)
        if known is None:
            self._forget_before(now - CLOCKS_DIFFER_SECONDS)
            if len(self._senders) >= SENDERS_MAX:
                return "of one node more than can be remembered"
            known = self._senders[sender] = _Sender()
        known.latest = max(known.latest, sent_at)
        return None if known.accept(number) else "that has come before"

    def _forget_before(self, time: float) -> None:
        """Forget senders all of whose messages were sent before: these are refused as too old."""
        for sender in [sender for sender, known in self._senders.items() if known.latest < time]:
            del self._senders[sender]

    def __len__(self) -> int:
        return len(self._senders)


class ControlSealer:
    """Seals what this node sends, and opens what comes. `secret` is CLUSTER_SECRET.

    With an empty one the seal protects from accidents only, since anybody can make it, and the clocks of the nodes
    may differ.
    """

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self.replayed = 0
        """Messages with a valid seal that were refused, because they are played again or too old."""
        self._seal = Seal(secret, b"tannoy control")
        self._clock = clock
        self._guard = ReplayGuard() if secret else None
        self._sender = secrets.token_bytes(8)
        self._numbers = itertools.count(1)

    def seal(self, channel: bytes, body: bytes) -> bytes:
        sealed = _HEADER.pack(self._sender, round(self._clock.now() * 1000), next(self._numbers)) + body
        return self._seal.make(channel, sealed) + sealed

    def open(self, channel: bytes, data: bytes) -> bytes:
        """The body of a message that came on this channel. Raises MalformedBytes."""
        sealed = data[SEAL_BYTES:]
        if len(sealed) < _HEADER.size or not self._seal.is_valid(data[:SEAL_BYTES], channel, sealed):
            raise MalformedBytes("a control message with another seal: is CLUSTER_SECRET the same on all nodes?")
        sender, sent_ms, number = _HEADER.unpack_from(sealed)
        if self._guard is not None:
            refusal = self._guard.find_refusal(sender, sent_ms / 1000, number, self._clock.now())
            if refusal is not None:
                self.replayed += 1
                raise MalformedBytes(f"a control message {refusal}")
        return sealed[_HEADER.size :]
