"""What the checks of rooms tell Redis of the versions that members here have seen, and should have seen."""

from tannoy.fanout.presence.calls import PresenceCalls, PresenceRules
from tannoy.fanout.presence.room_checks import RoomChecks
from tannoy.fanout.scripts import PRESENCE_CHECK
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.scripted_redis import ScriptedPipeline

KEYSPACE = Keyspace("tannoy")
LOBBY = KEYSPACE.room(RoomName("lobby"))


class ScriptedChecks:
    """Checks of the lobby, in which Redis has the `version`, and members have `seen` another one."""

    def __init__(self) -> None:
        self.seen = 0
        self._redis = ScriptedPipeline()
        self._redis.reply_with("ZRANGE", [])
        calls = PresenceCalls(self._redis, KEYSPACE, PresenceRules(50, 1000, 5.0))
        self._checks = RoomChecks(calls, "me", lambda room: self.seen)

    async def check(self, version: int) -> tuple[int, int]:
        """What Redis is told: the versions seen and due."""
        self._redis.reply_with(PRESENCE_CHECK, [1, version])
        await self._checks.check(LOBBY.partition, {RoomName("lobby")})
        *_, seen, due = self._redis.arguments_of(PRESENCE_CHECK)[-1]
        return int(seen), int(due)


async def test_what_a_check_found_and_members_had_not_seen_is_due_at_the_next_one() -> None:
    checks = ScriptedChecks()
    checks.seen = 5
    assert [await checks.check(7), await checks.check(7)] == [(5, 0), (5, 7)]


async def test_nothing_is_due_where_members_had_seen_it() -> None:
    checks = ScriptedChecks()
    checks.seen = 7
    assert [await checks.check(7), await checks.check(8), await checks.check(8)] == [(7, 0), (7, 0), (7, 8)]


async def test_nothing_is_due_from_members_that_know_no_version() -> None:
    checks = ScriptedChecks()
    assert [await checks.check(7), await checks.check(7)] == [(0, 0), (0, 0)]
