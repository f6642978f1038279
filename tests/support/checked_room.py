"""A room in a real Redis whose keys vanish, or are half written, and that presence_check.lua looks at."""

from tests.support.presence_room import PresenceRoom


class CheckedRoom(PresenceRoom):
    """Ada is in the room with a session on n1 and one on n2, Bob with one on n2, and Cyd is leaving."""

    async def fill(self) -> None:
        await self.age_heartbeats()
        for process, number, user in (("n1", 1, "ada"), ("n2", 1, "ada"), ("n2", 2, "bob"), ("n1", 2, "cyd")):
            await self.join(process, number, user)
        await self.leave("n1", 2)

    async def age_heartbeats(self) -> None:
        """All processes had the time to send a heartbeat since these keys exist."""
        await self._valkey.run("ZADD", self.keyspace.heartbeats(self.part), "-1", ".since")

    async def delete(self, kind: str) -> None:
        """Delete a key of the room; of n1 if it is a process's, and of the partition if it has no room."""
        keys = {
            "in": self.keyspace.sessions_of_node(self.channel, "n1"),
            "on": self.keyspace.rooms_of_node(self.part, "n1"),
            "nodes": self.keyspace.heartbeats(self.part),
            "rooms": self.keyspace.rooms(self.part),
            "due": self.keyspace.due(self.part),
            "users": self.keyspace.presence(self.channel).users,
            "leaving": self.keyspace.presence(self.channel).leaving,
            "presence": self.keyspace.presence(self.channel).meta,
        }
        await self._valkey.run("DEL", keys[kind])

    async def check(self, process: str = "n2", *, seen: int = 0, due: int = 0) -> int:
        """Whether the room is as its sessions say."""
        processes = await self._calls.list_processes(self.part)
        return (await self._calls.check(self.channel, process, processes, seen=seen, due=due))[0]

    async def checked_version(self) -> int:
        """The version that a check returns."""
        processes = await self._calls.list_processes(self.part)
        return (await self._calls.check(self.channel, "n2", processes))[1]

    async def let_processes_state(self) -> None:
        """The time is over in which every process states its sessions after a loss was found."""
        await self._valkey.run("HSET", self.keyspace.presence(self.channel).meta, "lost", "1")

    async def losses(self) -> int:
        return int(await self._valkey.run("HGET", self.keyspace.server(self.part), "losses") or 0)

    async def sessions(self) -> dict[str, int]:
        """User → sessions."""
        return {user: int(entry.partition("|")[0]) for user, entry in (await self.users()).items()}

    async def scheduled(self) -> set[bytes]:
        """Which of the keys of the partition have the room."""
        name = self.channel.name
        keys = {b"rooms": self.keyspace.rooms(self.part), b"due": self.keyspace.due(self.part)}
        return {kind for kind, key in keys.items() if await self._valkey.run("ZSCORE", key, name) is not None}
