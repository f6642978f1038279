"""The faults of a run as spans of time."""

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.harness.history import Fault, FaultKind, Healed, History

NEVER = math.inf


class FaultSpan(NamedTuple):
    """The time in which a fault was certainly in effect."""

    began: float
    until: float
    kind: FaultKind
    target: str


def fault_spans_of(history: History) -> list[FaultSpan]:
    healed = {event.fault: event.at for event in history.of(Healed)}
    return [FaultSpan(f.at, healed.get(f.fault, NEVER), f.kind, f.target) for f in history.of(Fault)]


def was_calm(faults: Iterable[FaultSpan], since: float, until: float) -> bool:
    """Whether none of the faults was in effect in this time."""
    return not any(span.began <= until and span.until >= since for span in faults)


@dataclass(slots=True)
class FaultTimeline:
    """The fault spans of a run, for queries by time."""

    spans: list[FaultSpan]
    freezes: dict[str, list[FaultSpan]] = field(default_factory=dict[str, list[FaultSpan]])
    _others_began: list[float] = field(default_factory=list[float])
    _others_until: list[float] = field(default_factory=list[float])

    @classmethod
    def of(cls, spans: Iterable[FaultSpan]) -> "FaultTimeline":
        found = cls(sorted(spans))
        latest = -NEVER
        for span in found.spans:
            if span.kind is FaultKind.FREEZE_NODE:
                found.freezes.setdefault(span.target, []).append(span)
            elif span.kind is not FaultKind.VANISH:
                latest = max(latest, span.until)
                found._others_began.append(span.began)
                found._others_until.append(latest)
        return found

    def was_calm(self, since: float, until: float) -> bool:
        """Whether no fault of any kind was in effect in this time."""
        return was_calm(self.spans, since, until)

    def has_only_freezes(self, since: float, until: float) -> bool:
        """Whether nothing else than frozen nodes kept nodes from sending heartbeats in this time."""
        before = bisect.bisect_right(self._others_began, until)
        return before == 0 or self._others_until[before - 1] < since
