"""What nodes exchange, and the HTTP API shows, of sessions: which are connected, which to close, and why some were."""

from dataclasses import dataclass
from typing import cast

from .channels import Owner
from .codes import CloseCode
from .errors import MalformedBytes


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One entry of `sessions` in `docs/protocol.md §6`. `connected_at` is RFC 3339; `agent_id` only on an agent."""

    session_id: str
    user_id: str
    username: str
    node: str
    connected_at: str
    agent_id: str | None = None

    def as_object(self) -> dict[str, object]:
        fields: dict[str, object] = {
            "session_id": self.session_id,
            "user_id": self.user_id,
            "username": self.username,
            "node": self.node,
            "connected_at": self.connected_at,
        }
        if self.agent_id is not None:
            fields["agent_id"] = self.agent_id
        return fields

    @classmethod
    def parse(cls, value: object) -> "SessionInfo":
        """Raises MalformedBytes."""
        match value:
            case {
                "session_id": str(session_id),
                "user_id": str(user_id),
                "username": str(username),
                "node": str(node),
                "connected_at": str(connected_at),
            }:
                agent_id = cast("dict[str, object]", value).get("agent_id")
                if agent_id is None or isinstance(agent_id, str):
                    return cls(session_id, user_id, username, node, connected_at, agent_id)
            case _:
                pass
        raise MalformedBytes(f"not the description of a session: {value!r:.80}")


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """Why a session has to be closed. `count`: sessions of the owner when that was decided, where they were counted."""

    code: CloseCode
    owner: Owner
    count: int | None = None
    displaced_by: str | None = None
    """The session that gets the lease; under a user's limit with its agent before it, `AGENT/SESSION`."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """One entry of `disconnects` in `docs/protocol.md §6`: a session that was refused or closed. `at` is RFC 3339."""

    at: str
    session_id: str
    code: int
    reason: str
    rule: str
    count: int | None
    node: str
    displaced_by: str | None = None

    def as_object(self) -> dict[str, object]:
        fields: dict[str, object] = {
            "at": self.at,
            "session_id": self.session_id,
            "code": self.code,
            "reason": self.reason,
            "rule": self.rule,
            "count": self.count,
            "node": self.node,
        }
        if self.displaced_by:
            fields["displaced_by"] = self.displaced_by
        return fields

    @classmethod
    def parse(cls, value: object) -> "Disconnect":
        """Raises MalformedBytes."""
        match value:
            case {
                "at": str(at),
                "session_id": str(session_id),
                "code": int(code),
                "reason": str(reason),
                "rule": str(rule),
                "count": int() | None as count,
                "node": str(node),
            }:
                displaced_by = cast("dict[str, object]", value).get("displaced_by")
                if displaced_by is None or isinstance(displaced_by, str):
                    return cls(at, session_id, code, reason, rule, count, node, displaced_by)
            case _:
                pass
        raise MalformedBytes(f"not an entry of disconnects: {value!r:.80}")
