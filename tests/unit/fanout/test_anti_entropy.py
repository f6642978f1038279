"""What is stated when: at once what may have been lost, everything else once a minute."""

import asyncio
from collections.abc import Collection, Mapping

from tannoy.fanout.anti_entropy import GROUP, ROUND_SECONDS, AntiEntropy
from tannoy.fanout.disconnects import DisconnectLog
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.membership import ALL
from tannoy.fanout.presence.calls import PresenceRules
from tannoy.fanout.presence.presence import Presence, Present
from tannoy.fanout.scripts import LEASE_RELEASE, LEASE_REPAIR, PRESENCE_JOIN, REMEMBER_GONE
from tannoy.shared.names import RoomName, UserId

from tests.support.clock import on_manual_time, turns
from tests.support.records import disconnect
from tests.support.scripted_leases import KEYSPACE, OWNER, ScriptedLeases

ROOMS = {KEYSPACE.rooms_of_node(part, "me"): part for part in ALL}
OWNERS = {KEYSPACE.owners_of_node(part, "me"): part for part in ALL}
LOBBY = KEYSPACE.room(RoomName("lobby"))
TURN = DEFAULT_TIMES.repair_seconds


class Workshop:
    """Repair over the leases of an process, and a lobby with one session in it."""

    def __init__(self) -> None:
        self.process = ScriptedLeases()
        self.redis = self.process.redis
        self.redis.reply_with(REMEMBER_GONE, 1)
        self.redis.reply_with(PRESENCE_JOIN, [1, 1, None])
        self.redis.reply_with("HKEYS", [])
        self.disconnects = DisconnectLog(self.redis, KEYSPACE)
        presence = Presence(self.redis, KEYSPACE, incarnation="me", rules=PresenceRules(50, 1000, 5.0))
        heartbeat, leases = self.process.heartbeat, self.process.leases
        self.to_restate = heartbeat.to_restate
        self.present_asked: list[tuple[list[int], list[int]]] = []
        """Partitions whose sessions were asked for, and those that had been compared by then."""
        self.repair = AntiEntropy(self.redis, heartbeat, leases, presence, self.disconnects, self._present)

    def _present(self, partitions: Collection[int]) -> Mapping[int, Present]:
        self.present_asked.append((list(partitions), self.rooms_looked_at))
        return {part: {LOBBY: {1: (UserId("ada"), "Ada")}} for part in partitions if part == LOBBY.partition}

    async def run(self, seconds: float) -> None:
        running = asyncio.create_task(self.repair.run())
        await asyncio.sleep(seconds)
        running.cancel()

    @property
    def looked_at(self) -> list[int]:
        """Partitions whose owners Redis was asked for, in order."""
        return [OWNERS[words[0]] for words in self.redis.arguments_of("SMEMBERS") if words[0] in OWNERS]

    @property
    def rooms_looked_at(self) -> list[int]:
        """Partitions whose rooms Redis was asked for, in order."""
        return [ROOMS[words[0]] for words in self.redis.arguments_of("SMEMBERS") if words[0] in ROOMS]


@on_manual_time
async def test_each_partition_has_its_turn_once_in_a_round() -> None:
    workshop = Workshop()
    await workshop.run(ROUND_SECONDS + TURN / 2)
    assert workshop.looked_at[: len(ALL)] == list(ALL)
    assert workshop.repair.statistics().rounds == 1


@on_manual_time
async def test_what_may_have_been_lost_is_looked_at_at_once_and_not_again() -> None:
    workshop = Workshop()
    workshop.to_restate.update((3, 50))
    await workshop.run(TURN / 2)
    assert (workshop.looked_at, workshop.to_restate) == ([3, 50], set())


@on_manual_time
async def test_so_many_partitions_that_others_have_their_turn_too_are_looked_at_together() -> None:
    workshop = Workshop()
    workshop.to_restate.update(ALL)
    await workshop.run(TURN / 2)
    assert workshop.looked_at == list(range(2 * GROUP))
    await workshop.run(TURN * 3)
    assert sorted(workshop.looked_at) == list(ALL)


@on_manual_time
async def test_places_and_presence_are_stated_both() -> None:
    workshop = Workshop()
    await workshop.process.connect()
    workshop.to_restate.update((OWNER.partition, LOBBY.partition))
    await workshop.run(TURN / 2)
    assert len(workshop.redis.arguments_of(LEASE_REPAIR)) == len(workshop.redis.arguments_of(PRESENCE_JOIN)) == 1


@on_manual_time
async def test_what_was_cut_short_is_taken_up_again() -> None:
    workshop = Workshop()
    workshop.to_restate.add(3)
    workshop.redis.leave_unconfirmed("SMEMBERS")
    await workshop.run(TURN / 2)
    assert workshop.to_restate == {3}
    workshop.redis.confirm_again("SMEMBERS")
    await workshop.run(TURN / 2)
    assert workshop.to_restate == set()


@on_manual_time
async def test_what_is_marked_while_it_is_stated_is_looked_at_again() -> None:
    workshop = Workshop()
    workshop.to_restate.add(3)
    workshop.redis.hold("SMEMBERS")
    running = asyncio.create_task(workshop.repair.run())
    await turns()
    assert (workshop.looked_at, workshop.to_restate) == ([3], set())
    workshop.to_restate.add(3)
    workshop.redis.answer_held("SMEMBERS")
    await asyncio.sleep(TURN / 2)
    assert (workshop.looked_at, workshop.to_restate) == ([3], {3})
    await asyncio.sleep(TURN)
    running.cancel()
    assert (workshop.looked_at, workshop.to_restate) == ([3, 3], set())


@on_manual_time
async def test_what_was_marked_meanwhile_and_what_was_cut_short_are_both_looked_at_again() -> None:
    workshop = Workshop()
    workshop.to_restate.add(3)
    workshop.redis.leave_unconfirmed("SMEMBERS")
    workshop.redis.hold("SMEMBERS")
    running = asyncio.create_task(workshop.repair.run())
    await turns()
    workshop.to_restate.add(50)
    workshop.redis.answer_held("SMEMBERS")
    await turns(6)
    running.cancel()
    assert workshop.to_restate == {3, 50}


@on_manual_time
async def test_who_is_there_is_read_for_each_partition_right_before_it_is_stated() -> None:
    workshop = Workshop()
    workshop.to_restate.update((3, 50))
    await workshop.run(TURN / 2)
    assert workshop.present_asked == [([3], []), ([50], [3])]


@on_manual_time
async def test_what_redis_had_not_confirmed_is_said_again_every_turn() -> None:
    workshop = Workshop()
    session = await workshop.process.connect()
    workshop.redis.leave_unconfirmed(LEASE_RELEASE, REMEMBER_GONE)
    workshop.process.leases.release(session.lease)
    workshop.disconnects.remember([OWNER], disconnect())
    await turns()
    await workshop.run(TURN * 1.5)
    assert len(workshop.redis.arguments_of(LEASE_RELEASE)) == len(workshop.redis.arguments_of(REMEMBER_GONE)) == 3
    workshop.redis.confirm_again(LEASE_RELEASE, REMEMBER_GONE)
    await workshop.run(TURN / 2)
    assert workshop.process.counts("unreleased") == [0]
    assert workshop.disconnects.statistics().pending == 0


@on_manual_time
async def test_without_a_connection_nothing_is_stated() -> None:
    workshop = Workshop()
    workshop.redis.disconnect()
    workshop.to_restate.add(3)
    await workshop.run(TURN * 5)
    assert workshop.redis.calls == []
