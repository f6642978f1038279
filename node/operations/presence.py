"""The presence of a channel, for the `presence` command and the HTTP API: users of a room, sessions of an agent."""

from collections.abc import Iterable, Sequence
from typing import cast

import orjson

from ...fanout.leases.limits import Limits
from ...fanout.presence.presence import Presence
from ...shared.channels import Channel, ChannelKind, Owner, OwnerKind
from ...shared.policy import Limit
from ...shared.protocol.frames import Object
from ...shared.sessions import SessionInfo
from ...shared.turns import Turns
from .pages import LIST_WEIGHT, LISTED_MAX, fit

ENTRY_MAX_BYTES = 2048
"""More than one user or session takes: of its names, only the username is not ASCII, and has 128 characters."""


class PresenceQueries:
    """Reads presence from Redis, each list in its turn; each method raises Unavailable.

    At most `listed_max` users of a room are listed, and no more than LISTED_MAX and `page_max_bytes` hold.
    """

    def __init__(
        self, presence: Presence, limits: Limits, turns: Turns, *, listed_max: int, page_max_bytes: int
    ) -> None:
        self._turns = turns
        self._listed_max = min(listed_max, LISTED_MAX)
        self._page_max_bytes = page_max_bytes
        self._presence = presence
        self._limits = limits

    async def get_channel(self, channel: Channel) -> Object:
        """Return the fields of `ok` that answers `presence`."""
        if channel.kind is ChannelKind.ROOM:
            return await self.get_room(channel)
        _, sessions = await self.list_sessions(Owner(OwnerKind.AGENT, channel.name))
        users = users_of(sessions)
        listed = [session.as_object() for session in sessions]
        return self._bounded({"users": users, "users_count": len(users), "sessions": listed}, "users", "sessions")

    async def get_room(self, room: Channel) -> Object:
        """Return `users` of a room, as far as they are listed, and `users_count` of all of them.

        `more` is true if the list was cut because of its size.
        """
        snapshot = await self._turns.run(LIST_WEIGHT, lambda: self._presence.snapshot(room, self._listed_max))
        return self._bounded(snapshot.as_fields(), "users")

    def _bounded(self, fields: Object, *lists: str) -> Object:
        """Cut these lists so that they fit into one page together."""
        for name in lists:
            entries, is_cut = _fit_entries(cast("Sequence[Object]", fields[name]), self._page_max_bytes // len(lists))
            fields |= {name: entries} | ({"more": True} if is_cut else {})
        return fields

    async def list_sessions(self, owner: Owner) -> tuple[Limit, list[SessionInfo]]:
        """Return an owner's limit, and the sessions that hold a lease of it, oldest first."""
        return await self._turns.run(LIST_WEIGHT, lambda: self._limits.list_sessions(owner))


def _fit_entries(entries: Sequence[Object], max_bytes: int) -> tuple[Sequence[Object], bool]:
    if len(entries) * ENTRY_MAX_BYTES <= max_bytes:
        return entries, False  # nearly always, and then none has to be encoded to know its size
    return fit(entries, lambda entry: len(orjson.dumps(entry)) + 1, max_bytes)


def users_of(sessions: Iterable[SessionInfo]) -> list[Object]:
    """Return the users of these sessions, each with the start of its first session and the number of its sessions."""
    by_user: dict[str, list[SessionInfo]] = {}
    for session in sessions:
        by_user.setdefault(session.user_id, []).append(session)
    return [
        {
            "user_id": user_id,
            "username": sessions[0].username,
            "connected_at": sessions[0].connected_at,
            "sessions": len(sessions),
        }
        for user_id, sessions in by_user.items()
    ]
