"""The faults of a run as spans of time."""

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.harness.history import Fault, FaultKind, Healed, History

NEVER = math.inf


class Trouble(NamedTuple):
    """A fault from when it certainly held until when it was about to be taken away."""

    began: float
    until: float
    kind: FaultKind
    target: str


def troubles_of(history: History) -> list[Trouble]:
    healed = {event.fault: event.at for event in history.of(Healed)}
    return [Trouble(f.at, healed.get(f.fault, NEVER), f.kind, f.target) for f in history.of(Fault)]


@dataclass(slots=True)
class Troubles:
    """The faults of a run, to be asked what was wrong when."""

    every: list[Trouble]
    freezes: dict[str, list[Trouble]] = field(default_factory=dict[str, list[Trouble]])
    _others_began: list[float] = field(default_factory=list[float])
    _others_until: list[float] = field(default_factory=list[float])

    @classmethod
    def of(cls, every: Iterable[Trouble]) -> "Troubles":
        found = cls(sorted(every))
        latest = -NEVER
        for trouble in found.every:
            if trouble.kind is FaultKind.FREEZE_NODE:
                found.freezes.setdefault(trouble.target, []).append(trouble)
            else:
                latest = max(latest, trouble.until)
                found._others_began.append(trouble.began)
                found._others_until.append(latest)
        return found

    def was_calm(self, since: float, until: float) -> bool:
        """Whether no fault of any kind held in this time."""
        return not any(each.began <= until and each.until >= since for each in self.every)

    def only_freezes(self, since: float, until: float) -> bool:
        """Whether no fault but frozen nodes held in this time."""
        before = bisect.bisect_right(self._others_began, until)
        return before == 0 or self._others_until[before - 1] < since
