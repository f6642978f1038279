"""How much a client may send: token buckets. Decided from numbers alone, the time among them.

A bucket is one number: when it will be full again (the Generic Cell Rate Algorithm, as in redis-cell). What is taken
puts that time off; what would put it off beyond the time in which an empty bucket fills is refused, and takes nothing.
"""

import math
from dataclasses import dataclass

from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from ...shared.rates import Rate

REFUSALS_RATE = Rate(20, seconds=10)
"""Refusals of one session for its rates, so 100 at once. One more, and it is closed: it goes on all the same."""
AHEAD = 16
"""Messages or commands of a session beyond its rate, from which on each turn of the event loop handles one of it."""
_PRECISION = 1e-6
"""Seconds by which sums of floats may be off: who waits as long as it was told is not refused again."""


class TokenBucket:
    """The bucket of one rate, full at first."""

    __slots__ = ("_fill_seconds", "_interval", "full_at")

    def __init__(self, rate: Rate) -> None:
        self._interval = rate.interval
        self._fill_seconds = rate.fill_seconds
        self.full_at = -math.inf
        """When it is full again, in monotonic seconds."""

    def take(self, amount: float, now: float) -> float:
        """Take so much at `now`, in seconds. 0.0: it was taken. Otherwise nothing was, and may be in so many seconds.

        More than a full bucket holds is taken from a full one, which then fills the longer.
        """
        cost = amount * self._interval
        full_at = (self.full_at if self.full_at > now else now) + cost
        wait = full_at - now - (self._fill_seconds if self._fill_seconds > cost else cost)
        if wait > _PRECISION:
            return wait
        self.full_at = full_at
        return 0.0

    def is_ahead(self, amount: float, now: float) -> bool:
        """Whether more than so much is missing in it."""
        return self.full_at - now > amount * self._interval

    def drain(self, now: float) -> None:
        """Take a whole bucket, whether there is one or not: nothing can be taken until it has filled again."""
        full_at = (self.full_at if self.full_at > now else now) + self._fill_seconds
        self.full_at = min(full_at, now + 2 * self._fill_seconds)

    def give_back(self, amount: float) -> None:
        """Undo the last `take`, of this amount."""
        self.full_at -= amount * self._interval


def rate_limited(what: str, rate: Rate, wait: float) -> Refused:
    """The refusal of what may be repeated in `wait` seconds. `what` is in the plural."""
    retry_after = math.ceil(wait * 1000) / 1000
    return Refused(f"too many {what}: {rate} are allowed", code=ErrorCode.RATE_LIMITED, retry_after=retry_after)


@dataclass(frozen=True, slots=True)
class SessionRates:
    """The rates of each session, of the settings."""

    messages: Rate
    """Of what others receive: messages, private messages, typing."""
    commands: Rate
    """Of all commands but `pong`, and of ping frames."""
    bytes: Rate
    """Of their payloads."""

    def __bool__(self) -> bool:
        return bool(self.messages or self.commands or self.bytes)


class SessionBuckets:
    """What one session may send now, and how often it was refused."""

    __slots__ = ("_bytes", "_commands", "_messages", "_rates", "_refusals")

    def __init__(self, rates: SessionRates) -> None:
        self._rates = rates
        self._messages = TokenBucket(rates.messages)
        self._commands = TokenBucket(rates.commands)
        self._bytes = TokenBucket(rates.bytes)
        self._refusals = TokenBucket(REFUSALS_RATE)

    def take(self, size: int, now: float, *, is_message: bool) -> Refused | None:
        """Take one command in a frame of `size` bytes; None: it was taken. What is refused takes nothing."""
        rates = self._rates
        if is_message and (wait := self._messages.take(1, now)):
            return rate_limited("messages", rates.messages, wait)
        if wait := self._commands.take(1, now):
            refusal = rate_limited("commands", rates.commands, wait)
        elif wait := self._bytes.take(size, now):
            self._commands.give_back(1)
            refusal = rate_limited("bytes", rates.bytes, wait)
        else:
            return None
        if is_message:
            self._messages.give_back(1)
        return refusal

    def give_back(self, size: int) -> None:
        """Undo the last `take`, of a message."""
        self._messages.give_back(1)
        self._commands.give_back(1)
        self._bytes.give_back(size)

    def are_ahead(self, now: float) -> bool:
        """Whether the session has sent AHEAD more than its rates allow in the long run."""
        return self._messages.is_ahead(AHEAD, now) or self._commands.is_ahead(AHEAD, now)

    def count_refusal(self, now: float) -> bool:
        """Count one refusal; True: that was one too many."""
        return self._refusals.take(1, now) > 0
