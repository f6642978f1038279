"""A history by session: from the first word to the last, and up to when it has proven that it was served."""

from dataclasses import dataclass

from tests.chaos.harness.history import (
    Attempt,
    End,
    Ended,
    Heard,
    History,
    Published,
    Welcomed,
)
from tests.chaos.harness.troubles import NEVER


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
