"""What became of one message at the sockets: counted by each node, and asked for with `report: true`.

The message carries a token in its envelope, in the field for the session that is excluded, behind a character that no
name has. So a message without a report looks as it always did, and no node looks for anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from .errors import MalformedBytes

CLOSED_LISTED_MAX = 1000
"""Sessions of one node that a report names as closed; all of them are counted."""
_SEPARATOR = "*"


def add_token(exclude: str, token: str) -> str:
    """Return the mark of a message to be reported on: the session that it excludes, if any, and the token."""
    return f"{exclude}{_SEPARATOR}{token}"


def has_token(mark: str) -> bool:
    return _SEPARATOR in mark


def split_mark(mark: str) -> tuple[str, str]:
    """Return the session that a mark excludes and the token of its report; each is empty if there is none."""
    exclude, _, token = mark.partition(_SEPARATOR)
    return exclude, token


@dataclass(frozen=True, slots=True)
class SocketOutcome:
    """What became of one message at the sockets of one node."""

    written: int = 0
    """Sockets that it was handed to."""
    slow: int = 0
    """Those whose outbox holds it, behind what their client has not read."""
    closed: int = 0
    """Those that it has closed, since it did not fit into their outbox."""
    closed_sessions: tuple[str, ...] = ()
    """The sessions of these, CLOSED_LISTED_MAX at most."""

    @property
    def sessions(self) -> int:
        return self.written + self.slow + self.closed

    def as_parts(self) -> list[object]:
        return [self.written, self.slow, self.closed, list(self.closed_sessions)]

    @classmethod
    def parse(cls, parts: Any) -> "SocketOutcome":
        """Raises MalformedBytes."""
        match parts:
            case [int(written), int(slow), int(closed), list()]:
                sessions = cast("list[object]", parts[3])
                named = tuple(each for each in sessions if isinstance(each, str))
                if len(named) == len(sessions):
                    return cls(written, slow, closed, named)
            case _:
                pass
        raise MalformedBytes(f"not the outcome of a message: {parts!r:.80}")


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of one message on all nodes. `late_nodes` did not answer in time, and are counted nowhere else."""

    outcomes: Mapping[str, SocketOutcome]
    """By the name of each process that has answered."""
    late_nodes: tuple[str, ...] = ()

    @property
    def sessions(self) -> int:
        return sum(outcome.sessions for outcome in self.outcomes.values())

    def as_fields(self) -> dict[str, object]:
        """The fields of `docs/protocol.md §6`; `more` is true if some of the closed sessions are not named."""
        outcomes = self.outcomes.values()
        named = [session for outcome in outcomes for session in outcome.closed_sessions]
        fields: dict[str, object] = {
            "nodes": len(self.outcomes),
            "written": sum(outcome.written for outcome in outcomes),
            "slow": sum(outcome.slow for outcome in outcomes),
            "closed": named,
            "late_nodes": sorted(self.late_nodes),
        }
        return fields | {"more": True} if sum(outcome.closed for outcome in outcomes) > len(named) else fields
