"""Answers of a back end that may be used again for a time that it has named: bounded, the one not used longest goes."""

from collections import OrderedDict
from hashlib import blake2b
from typing import Generic, TypeVar

import orjson

from ...shared.clock import Clock

ANSWERS_MAX = 4096
"""Answers that are kept."""
KEPT_MAX_SECONDS = 3600
"""For which one is kept, whatever the back end says: it may have to take it back."""

T = TypeVar("T")


class AnswerCache(Generic[T]):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, tuple[float, T]] = OrderedDict()
        self.hits = 0

    def find(self, key: bytes) -> T | None:
        found = self._kept.get(key)
        if found is None:
            return None
        until, answer = found
        if self._clock.monotonic() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        self.hits += 1
        return answer

    def keep(self, key: bytes, answer: T, seconds: float) -> None:
        """0 seconds: it is not kept."""
        if seconds <= 0:
            return
        self._kept[key] = (self._clock.monotonic() + min(seconds, KEPT_MAX_SECONDS), answer)
        self._kept.move_to_end(key)
        if len(self._kept) > ANSWERS_MAX:
            self._kept.popitem(last=False)


def key_of(question: dict[str, object]) -> bytes:
    """The same for the same question. A digest: a question holds tokens and cookies."""
    return blake2b(orjson.dumps(question, option=orjson.OPT_SORT_KEYS), digest_size=32).digest()
