"""The keys of a JSON Web Key Set that changes, and the decision when it is read again.

A `kid` that is not known may be that of a new key, or forged. Its token is refused for good only by a set whose reading
began after the token was seen; before, its owner is asked to come back. Forged tokens cause no more readings than one
each LOOKUP_PAUSE.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...shared.clock import Clock
from .keys import VerificationKey
from .token_problems import TokenProblem, TokenRefused

RETRY_PERIOD = 30.0
"""Seconds between two readings, at most, while the set can't be read."""
LOOKUP_PAUSE = 10.0
"""Seconds from the start of any reading until the next one on behalf of a `kid` that is not known."""
READING_SECONDS = 1.0
"""That a reading takes, as those are told who are asked to come back behind it."""
ASKED_MAX = 1000
"""Values of `kid` that are not known and were asked for; beyond it the one that was asked for first is forgotten."""
KEY_ID_MAX_CHARACTERS = 256
"""Of a `kid` that is looked up."""


@dataclass(frozen=True, slots=True)
class KeyStatistics:
    """`failed_readings` counts those since the start."""

    keys: int
    asked: int
    readings: int
    failed_readings: int


class KeySet:
    """A KeySource. Needs a KeyRefresh, which reads the set when it is due.

    `period`: seconds between two readings. `on_due_earlier` is called when a reading is due earlier than before.
    """

    def __init__(self, clock: Clock, period: float, on_due_earlier: Callable[[], None]) -> None:
        self.generation = 0
        self._clock = clock
        self._period = period
        self._on_due_earlier = on_due_earlier
        self._keys: Mapping[str, VerificationKey] = {}
        self._asked: OrderedDict[str, int] = OrderedDict()
        """How many readings had begun when each unknown `kid` was asked for first."""
        self._is_wanted = False
        """Whether a `kid` was asked for since the last reading that succeeded began."""
        self._began_at = float("-inf")
        """When the last reading began."""
        self._readings = self._succeeded = self._failed_readings = 0
        """Readings that have begun; the last of them that has succeeded, by its number; how many have failed."""
        self.is_stale = False
        """Whether the last reading failed."""

    def find(self, key_id: str | None) -> VerificationKey | None:
        """None: the set has no such key. Without a `kid`: its only key, if it has one only.

        Raises TokenRefused with `retry_after` if the set has to be read to know.
        """
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        key = self._keys.get(key_id)
        if key is not None or len(key_id) > KEY_ID_MAX_CHARACTERS:
            return key
        if key_id in self._asked and self._asked[key_id] < self._succeeded:
            return None
        self._ask(key_id)
        raise TokenRefused(
            TokenProblem.UNKNOWN_KEY,
            "the token is signed with a key that is not known yet: it is looked up",
            retry_after=round(self.seconds_until_due() + READING_SECONDS, 1),
        )

    def _ask(self, key_id: str) -> None:
        if key_id in self._asked:
            return
        self._asked[key_id] = self._readings
        if len(self._asked) > ASKED_MAX:
            self._asked.popitem(last=False)
        if not self._is_wanted:
            self._is_wanted = True
            self._on_due_earlier()

    def seconds_until_due(self) -> float:
        """Seconds until the set has to be read again; 0: now."""
        period = min(self._period, RETRY_PERIOD) if self.is_stale else self._period
        wait = min(period, LOOKUP_PAUSE) if self._is_wanted else period
        return max(self._began_at + wait - self._clock.monotonic(), 0.0)

    def begin(self) -> None:
        """Note that a reading begins. `accept` or `fail` follows."""
        self._began_at = self._clock.monotonic()
        self._readings += 1

    def accept(self, keys: Mapping[str, VerificationKey] | None) -> None:
        """Take the keys of the reading that began last; None: they are those that are known."""
        self.is_stale = False
        self._succeeded = self._readings
        self._is_wanted = any(asked >= self._succeeded for asked in self._asked.values())
        if keys is None:
            return
        if any(keys.get(key_id) != key for key_id, key in self._keys.items()):
            self.generation += 1
        self._keys = keys
        for key_id in keys:
            self._asked.pop(key_id, None)

    def fail(self) -> None:
        """Keep the keys that are known."""
        self.is_stale = True
        self._failed_readings += 1

    def statistics(self) -> KeyStatistics:
        return KeyStatistics(len(self._keys), len(self._asked), self._readings, self._failed_readings)
