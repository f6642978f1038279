"""The presence of a channel, for the `presence` command and the HTTP API: users of a room, sessions of an agent."""

from collections.abc import Iterable

from ...fanout.leases.limits import Limits
from ...fanout.presence.presence import Presence
from ...shared.channels import Channel, ChannelKind, Owner, OwnerKind
from ...shared.policy import Limit
from ...shared.protocol.frames import Object
from ...shared.sessions import SessionInfo


class PresenceQueries:
    """Reads presence from Redis; each method raises Unavailable. At most `listed_max` users of a room are listed."""

    def __init__(self, presence: Presence, limits: Limits, *, listed_max: int) -> None:
        self._listed_max = listed_max
        self._presence = presence
        self._limits = limits

    async def get_channel(self, channel: Channel) -> Object:
        """Return the fields of `ok` that answers `presence`."""
        if channel.kind is ChannelKind.ROOM:
            return await self.get_room(channel)
        _, sessions = await self.list_sessions(Owner(OwnerKind.AGENT, channel.name))
        users = users_of(sessions)
        listed = [session.as_object() for session in sessions]
        return {"users": users, "users_count": len(users), "sessions": listed}

    async def get_room(self, room: Channel) -> Object:
        """Return `users` of a room, at most `listed_max`, and `users_count` of all of them."""
        return (await self._presence.snapshot(room, self._listed_max)).as_fields()

    async def list_sessions(self, owner: Owner) -> tuple[Limit, list[SessionInfo]]:
        """Return an owner's limit, and the sessions that hold a lease of it, oldest first."""
        return await self._limits.list_sessions(owner)


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
