"""Who is in a channel, as the `presence` command and the API tell it: users of a room, sessions of an agent."""

from collections.abc import Iterable

from ...fanout.leases.limits import Limits
from ...fanout.presence.presence import Presence
from ...shared.channels import Channel, ChannelKind, Owner, OwnerKind
from ...shared.policy import Limit
from ...shared.protocol.frames import Object
from ...shared.sessions import SessionInfo


class PresenceQueries:
    """Asks Redis. Everything raises Unavailable. `listed_max`: users of a room that are named."""

    def __init__(self, presence: Presence, limits: Limits, *, listed_max: int) -> None:
        self._listed_max = listed_max
        self._presence = presence
        self._limits = limits

    async def call(self, channel: Channel) -> Object:
        """What `ok` of `presence` carries."""
        if channel.kind is ChannelKind.ROOM:
            return await self.room(channel)
        _, sessions = await self.sessions(Owner(OwnerKind.AGENT, channel.name))
        users = users_of(sessions)
        listed = [session.as_object() for session in sessions]
        return {"users": users, "users_count": len(users), "sessions": listed}

    async def room(self, room: Channel) -> Object:
        """Users of a room, of whom at most `listed_max` are named; `users_count` counts them all."""
        return (await self._presence.snapshot(room, self._listed_max)).as_fields()

    async def sessions(self, owner: Owner) -> tuple[Limit, list[SessionInfo]]:
        """An owner's limit, and those who hold its places, oldest first."""
        return await self._limits.list_sessions(owner)


def users_of(sessions: Iterable[SessionInfo]) -> list[Object]:
    """Sessions by user: since when the first of them is here, and how many there are."""
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
