"""A history by session: from the first word to the last, and up to when it has proven that it was served."""

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.harness.history import (
    Attempt,
    End,
    Ended,
    Fault,
    FaultKind,
    Healed,
    Heard,
    History,
    Published,
    Welcomed,
)

NEVER = math.inf


@dataclass(slots=True)
class Life:
    """One connection. `proven_at`: the last moment at which it was certainly being served (see `verify.py`)."""

    session: int
    agent: str | None
    room: str | None
    node: str
    called: str | None
    user: str
    asked_at: float
    welcomed_at: float = NEVER
    session_id: str = ""
    ended_at: float = NEVER
    end: End | None = None
    code: int | None = None
    retry_after: float | None = None
    proven_at: float = -NEVER
    heard: int = 0

    @property
    def was_welcomed(self) -> bool:
        return self.welcomed_at < NEVER

    def __str__(self) -> str:
        end = "lives" if self.end is None else f"{self.end} {self.code or ''} at {self.ended_at:.4f}"
        proven = f", heard what was said at {self.proven_at:.4f}" if self.heard else ""
        return f"{self.session_id or self.session} on {self.node} [welcome {self.welcomed_at:.4f}{proven}, {end}]"


def lives_of(history: History) -> list[Life]:
    """In the order in which they began to connect."""
    published = {event.number: event.at for event in history.of(Published)}
    lives: dict[int, Life] = {}
    for event in history.events:
        match event:
            case Attempt(at, session, agent, room, node, called, user):
                lives[session] = Life(session, agent, room, node, called, user, at)
            case Welcomed(at, session, session_id):
                lives[session].welcomed_at, lives[session].session_id = at, session_id
            case Heard(at, session, number):
                life = lives[session]
                life.heard += 1
                if at <= life.ended_at:
                    life.proven_at = max(life.proven_at, published[number])
            case Ended(at, session, end, code, retry_after):
                life = lives[session]
                life.ended_at, life.end, life.code, life.retry_after = at, end, code, retry_after
                life.proven_at = min(life.proven_at, at)
            case _:
                pass
    return list(lives.values())


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
