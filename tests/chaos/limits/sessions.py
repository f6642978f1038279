"""The history by session: begin, end, and until when it was certainly served."""

from dataclasses import dataclass

from tests.chaos.harness.fault_spans import NEVER
from tests.chaos.harness.history import (
    Attempt,
    End,
    Ended,
    History,
    MessageReceived,
    Published,
    Welcomed,
)


@dataclass(slots=True)
class SessionRecord:
    """One connection. `proven_at`: the last time at which it was certainly served (see `verify.py`)."""

    number: int
    agent: str | None
    room: str | None
    node: str
    session_name: str | None
    user: str
    asked_at: float
    welcomed_at: float = NEVER
    session_id: str = ""
    ended_at: float = NEVER
    end: End | None = None
    code: int | None = None
    retry_after: float | None = None
    proven_at: float = -NEVER
    received: int = 0

    @property
    def was_welcomed(self) -> bool:
        return self.welcomed_at < NEVER

    def __str__(self) -> str:
        end = "open" if self.end is None else f"{self.end} {self.code or ''} at {self.ended_at:.4f}"
        proven = f", received a message sent at {self.proven_at:.4f}" if self.received else ""
        return f"{self.session_id or self.number} on {self.node} [welcome {self.welcomed_at:.4f}{proven}, {end}]"


def sessions_of(history: History) -> list[SessionRecord]:
    """In the order in which they began to connect."""
    published = {event.number: event.at for event in history.of(Published)}
    sessions: dict[int, SessionRecord] = {}
    for event in history.events:
        match event:
            case Attempt(at, number, agent, room, node, session_name, user):
                sessions[number] = SessionRecord(number, agent, room, node, session_name, user, at)
            case Welcomed(at, number, session_id):
                sessions[number].welcomed_at, sessions[number].session_id = at, session_id
            case MessageReceived(at, number, message):
                session = sessions[number]
                session.received += 1
                if at <= session.ended_at:
                    session.proven_at = max(session.proven_at, published[message])
            case Ended(at, number, end, code, retry_after):
                session = sessions[number]
                session.ended_at, session.end, session.code, session.retry_after = at, end, code, retry_after
                session.proven_at = min(session.proven_at, at)
            case _:
                pass
    return list(sessions.values())
