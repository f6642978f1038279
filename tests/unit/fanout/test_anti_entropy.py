"""Which partitions are restated when: those marked as lost at once, all others once a minute."""

import asyncio
import itertools

import pytest
from tannoy.fanout import anti_entropy as anti_entropy_module
from tannoy.fanout.anti_entropy import GROUP, AntiEntropy
from tannoy.fanout.disconnects import DisconnectLog
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.membership import ALL_PARTITIONS
from tannoy.fanout.presence.calls import PresenceRules
from tannoy.fanout.presence.presence import Presence
from tannoy.fanout.presence.present import PresentSession
from tannoy.fanout.scripts import LEASE_RELEASE, LEASE_REPAIR, PRESENCE_CHECK, PRESENCE_JOIN, REMEMBER_GONE
from tannoy.shared.channels import partition
from tannoy.shared.names import RoomName, UserId

from tests.support.clock import on_manual_time, turns
from tests.support.records import disconnect
from tests.support.scripted_leases import KEYSPACE, OWNER, ScriptedLeases
from tests.support.scripted_redis import Call

ROOMS = {KEYSPACE.rooms_of_node(part, "me"): part for part in ALL_PARTITIONS}
OWNERS = {KEYSPACE.owners_of_node(part, "me"): part for part in ALL_PARTITIONS}
LOBBY = KEYSPACE.room(RoomName("lobby"))
TURN_SECONDS = DEFAULT_TIMES.repair_seconds


class ScriptedAntiEntropy:
    """Anti-entropy over the leases of the process `me`, and a room with one session in it."""

    def __init__(self, incarnation: str = "me") -> None:
        self.process = ScriptedLeases()
        self.redis = self.process.redis
        self.redis.reply_with(REMEMBER_GONE, [])
        self.redis.reply_with(PRESENCE_JOIN, [1, 1, None])
        self.redis.reply_with("HKEYS", [])
        self.redis.reply_with("ZRANGE", [])
        self.redis.reply_with(PRESENCE_CHECK, [1, 0])
        self.disconnects = DisconnectLog(self.redis, KEYSPACE)
        presence = Presence(self.redis, KEYSPACE, incarnation=incarnation, rules=PresenceRules(50, 1000, 5.0))
        heartbeat, leases = self.process.heartbeat, self.process.leases
        self.to_restate = heartbeat.to_restate
        presence.present.add(1, PresentSession(LOBBY, UserId("ada"), "Ada"))
        self.present = presence.present
        self.anti_entropy = AntiEntropy(self.redis, heartbeat, leases, presence, self.disconnects)

    async def run(self, seconds: float) -> None:
        running = asyncio.create_task(self.anti_entropy.run())
        await asyncio.sleep(seconds)
        running.cancel()

    @property
    def owners_compared(self) -> list[int]:
        """Partitions whose owners Redis was asked for, in order."""
        return [OWNERS[words[0]] for words in self.redis.arguments_of("SMEMBERS") if words[0] in OWNERS]

    @property
    def rooms_compared(self) -> list[int]:
        """Partitions whose rooms Redis was asked for, in order."""
        return [ROOMS[words[0]] for words in self.redis.arguments_of("SMEMBERS") if words[0] in ROOMS]


@on_manual_time
async def test_a_partition_that_could_not_be_restated_is_urgent_until_it_is() -> None:
    scripted = ScriptedAntiEntropy()
    scripted.redis.leave_unconfirmed("SMEMBERS")
    await scripted.run(DEFAULT_TIMES.round_seconds * GROUP / len(ALL_PARTITIONS))
    assert scripted.to_restate == {0}
    scripted.redis.confirm_again("SMEMBERS")
    await scripted.run(TURN_SECONDS / 2)
    assert not scripted.to_restate


@on_manual_time
async def test_each_partition_is_restated_once_in_a_round() -> None:
    scripted = ScriptedAntiEntropy()
    await scripted.run(DEFAULT_TIMES.round_seconds + TURN_SECONDS / 2)
    assert scripted.owners_compared[: len(ALL_PARTITIONS)] == list(ALL_PARTITIONS)
    assert scripted.anti_entropy.statistics().rounds == 1


@on_manual_time
async def test_marked_partitions_are_restated_at_once_and_unmarked() -> None:
    scripted = ScriptedAntiEntropy()
    scripted.to_restate.update((3, 50))
    await scripted.run(TURN_SECONDS / 2)
    assert (scripted.owners_compared, scripted.to_restate) == ([3, 50], set())


@on_manual_time
async def test_marked_partitions_are_restated_in_batches_of_two_groups() -> None:
    scripted = ScriptedAntiEntropy()
    scripted.to_restate.update(ALL_PARTITIONS)
    await scripted.run(TURN_SECONDS / 2)
    assert scripted.owners_compared == list(range(2 * GROUP))
    await scripted.run(TURN_SECONDS * 3)
    assert sorted(scripted.owners_compared) == list(ALL_PARTITIONS)


@on_manual_time
async def test_leases_and_presence_of_a_partition_are_restated() -> None:
    scripted = ScriptedAntiEntropy()
    await scripted.process.connect()
    scripted.to_restate.update((OWNER.partition, LOBBY.partition))
    await scripted.run(TURN_SECONDS / 2)
    assert len(scripted.redis.arguments_of(LEASE_REPAIR)) == len(scripted.redis.arguments_of(PRESENCE_JOIN)) == 1


@on_manual_time
async def test_an_unconfirmed_restate_keeps_its_partition_marked() -> None:
    scripted = ScriptedAntiEntropy()
    scripted.to_restate.add(3)
    scripted.redis.leave_unconfirmed("SMEMBERS")
    await scripted.run(TURN_SECONDS / 2)
    assert scripted.to_restate == {3}
    scripted.redis.confirm_again("SMEMBERS")
    await scripted.run(TURN_SECONDS / 2)
    assert scripted.to_restate == set()


@on_manual_time
async def test_a_partition_marked_during_its_restate_is_restated_again() -> None:
    scripted = ScriptedAntiEntropy()
    scripted.to_restate.add(3)
    scripted.redis.hold("SMEMBERS")
    running = asyncio.create_task(scripted.anti_entropy.run())
    await turns()
    assert (scripted.owners_compared, scripted.to_restate) == ([3], set())
    scripted.to_restate.add(3)
    scripted.redis.answer_held("SMEMBERS")
    await asyncio.sleep(TURN_SECONDS / 2)
    assert (scripted.owners_compared, scripted.to_restate) == ([3], {3})
    await asyncio.sleep(TURN_SECONDS)
    running.cancel()
    assert (scripted.owners_compared, scripted.to_restate) == ([3, 3], set())


@on_manual_time
async def test_a_partition_with_a_room_that_is_not_right_yet_is_restated_with_the_next_turn() -> None:
    scripted = ScriptedAntiEntropy()
    scripted.to_restate.add(LOBBY.partition)
    scripted.redis.reply_with(PRESENCE_CHECK, [0, 0], [1, 0])
    await scripted.run(TURN_SECONDS / 2)
    assert scripted.to_restate == {LOBBY.partition}
    await scripted.run(TURN_SECONDS / 2)
    assert (scripted.owners_compared, scripted.to_restate) == ([LOBBY.partition] * 2, set())


def _is_in_first_partition(room: str) -> bool:
    return partition("room", room) == 0


@on_manual_time
async def test_each_room_without_sessions_of_this_process_is_checked_by_one_process() -> None:
    names = (f"{'r' * (number % 9)}-{number}" for number in itertools.count())
    others = [name.encode() for name in itertools.islice(filter(_is_in_first_partition, names), 20)]

    def members(call: Call) -> list[bytes]:
        return others if call.words[0] == KEYSPACE.rooms(0) else [b".since", b"you", b"me"]

    checked: dict[str, set[bytes]] = {}
    for process in ("me", "you"):
        scripted = ScriptedAntiEntropy(incarnation=process)
        scripted.redis.reply_with("ZRANGE", members)
        scripted.to_restate.add(0)
        await scripted.run(TURN_SECONDS / 2)
        checked[process] = {words[2] for words in scripted.redis.arguments_of(PRESENCE_CHECK)}
    assert checked["me"] | checked["you"] == set(others)
    assert checked["me"] & checked["you"] == set()
    assert len(checked["me"]) in range(5, 16)


@on_manual_time
async def test_partitions_marked_during_an_unconfirmed_restate_stay_marked_with_its_own() -> None:
    scripted = ScriptedAntiEntropy()
    scripted.to_restate.add(3)
    scripted.redis.leave_unconfirmed("SMEMBERS")
    scripted.redis.hold("SMEMBERS")
    running = asyncio.create_task(scripted.anti_entropy.run())
    await turns()
    scripted.to_restate.add(50)
    scripted.redis.answer_held("SMEMBERS")
    await turns(6)
    running.cancel()
    assert scripted.to_restate == {3, 50}


@on_manual_time
async def test_unconfirmed_releases_and_disconnects_are_retried_every_turn() -> None:
    scripted = ScriptedAntiEntropy()
    session = await scripted.process.connect()
    scripted.redis.leave_unconfirmed(LEASE_RELEASE, REMEMBER_GONE)
    scripted.process.leases.release(session.lease)
    scripted.disconnects.remember([OWNER], disconnect())
    await turns()
    await scripted.run(TURN_SECONDS * 1.5)
    assert len(scripted.redis.arguments_of(LEASE_RELEASE)) == len(scripted.redis.arguments_of(REMEMBER_GONE)) == 3
    scripted.redis.confirm_again(LEASE_RELEASE, REMEMBER_GONE)
    await scripted.run(TURN_SECONDS / 2)
    assert scripted.process.counts("unreleased") == [0]
    assert scripted.disconnects.statistics().pending == 0


@on_manual_time
async def test_nothing_is_restated_without_a_connection() -> None:
    scripted = ScriptedAntiEntropy()
    scripted.redis.disconnect()
    scripted.to_restate.add(3)
    await scripted.run(TURN_SECONDS * 5)
    assert scripted.redis.calls == []


@on_manual_time
async def test_so_many_rooms_are_restated_in_one_turn_and_the_rest_in_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(anti_entropy_module, "ROOMS_PER_TURN", 10)
    scripted = ScriptedAntiEntropy()
    for number in range(64 * 25):
        room = KEYSPACE.room(RoomName(f"room-{number}"))
        scripted.present.add(number + 2, PresentSession(room, UserId("ada"), "Ada"))
    turns_of_a_group = int(DEFAULT_TIMES.round_seconds / TURN_SECONDS) * GROUP // len(ALL_PARTITIONS)
    running = asyncio.create_task(scripted.anti_entropy.run())
    await asyncio.sleep(TURN_SECONDS * (turns_of_a_group - 0.5))
    compared: list[int] = []
    for _ in range(8 * 25 // 10 + 10):
        before = len(scripted.rooms_compared)
        await asyncio.sleep(TURN_SECONDS)
        compared.append(len(scripted.rooms_compared) - before)
    running.cancel()
    assert max(compared) == 1
    assert scripted.rooms_compared[: 2 * GROUP] == list(range(len(scripted.rooms_compared)))[: 2 * GROUP]
    assert sum(compared) < len(compared) / 2, "a partition has rooms for more than two turns"


@on_manual_time
async def test_what_is_urgent_does_not_wait_for_the_rooms_of_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anti_entropy_module, "ROOMS_PER_TURN", 0)
    scripted = ScriptedAntiEntropy()
    scripted.to_restate.add(LOBBY.partition)
    await scripted.run(TURN_SECONDS / 2)
    assert (scripted.rooms_compared, scripted.to_restate) == ([LOBBY.partition], set())
