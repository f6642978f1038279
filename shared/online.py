"""Who is online: what each node tells of its users, and how the lists of all nodes make one page."""

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import MalformedBytes


@dataclass(frozen=True, slots=True)
class OnlineUser:
    """One entry of `users` in `docs/protocol.md §6`. `connected_at` is RFC 3339: when the first session began."""

    user_id: str
    username: str
    connected_at: str
    sessions: int

    def as_object(self) -> dict[str, object]:
        return {
            "user_id": self.user_id,
            "username": self.username,
            "connected_at": self.connected_at,
            "sessions": self.sessions,
        }

    def merged_with(self, other: "OnlineUser") -> "OnlineUser":
        """The same user with the sessions of another node; its name is that of the first session."""
        first = min(self, other, key=lambda user: user.connected_at)
        return OnlineUser(self.user_id, first.username, first.connected_at, self.sessions + other.sessions)

    def as_parts(self) -> list[object]:
        return [self.user_id, self.username, self.connected_at, self.sessions]

    @classmethod
    def parse(cls, parts: object) -> "OnlineUser":
        """Raises MalformedBytes."""
        match parts:
            case [str(user_id), str(username), str(connected_at), int(sessions)]:
                return cls(user_id, username, connected_at, sessions)
            case _:
                raise MalformedBytes(f"not a user who is online: {parts!r:.80}")


@dataclass(frozen=True, slots=True)
class OnlineUsers:
    """The first users of a list in the order of their ids; `more`: there are others behind the last one."""

    users: tuple[OnlineUser, ...]
    more: bool


def merge_pages(pages: Iterable[OnlineUsers], limit: int) -> OnlineUsers:
    """The first `limit` users of all nodes, each of which has listed its own first `limit`.

    Invariant: a node with `more` has listed `limit` users, so none of those it has left out is among the first `limit`
    of all: the users of the result have all their sessions.
    """
    by_id: dict[str, OnlineUser] = {}
    more = False
    for page in pages:
        more |= page.more
        for user in page.users:
            known = by_id.get(user.user_id)
            by_id[user.user_id] = user if known is None else known.merged_with(user)
    users = sorted(by_id.values(), key=lambda user: user.user_id)
    return OnlineUsers(tuple(users[:limit]), more or len(users) > limit)
