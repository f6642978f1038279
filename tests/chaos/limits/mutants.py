"""Nodes with one safety of limits or presence removed. `scenarios.py` shows the effect of each."""

import asyncio
from collections.abc import Callable
from typing import Any

from tannoy.fanout import anti_entropy as repair
from tannoy.fanout import lease_times, script_batches, scripts
from tannoy.fanout.leases import acquirer, restating
from tannoy.fanout.leases import manager as leases
from tannoy.fanout.leases.lease import Lease
from tannoy.fanout.presence import presence, room_checks, sweeper
from tannoy.fanout.redis.connection import RedisConnection, Reply
from tannoy.fanout.redis.script import Script
from tannoy.shared.channels import Channel

from tests.chaos.harness.patching import patch, patch_script, patch_scripts

OVERTAKEN_FOR = 1.5
"""Seconds."""


async def _sleep_for_ever(self: object) -> None:
    await asyncio.Event().wait()


# ---- limits


def fencing_off() -> None:
    """A node serves its sessions, whether its heartbeat has run out or not."""

    def never(self: leases.LeaseManager) -> bool:
        return False

    def close_none(self: leases.LeaseManager) -> None: ...

    patch(leases.LeaseManager, "fence_if_expired", never)
    patch(leases.LeaseManager, "may_serve", True)
    patch(leases.LeaseManager, "on_expired", close_none)


def release_by_name() -> None:
    """A release frees the current lease of the session's name instead of the lease that it names."""
    patch_script(
        "LEASE_RELEASE",
        b"local lease, generation = ARGV[at + 1], ARGV[at + 2]\n",
        b"local lease, generation = ARGV[at + 1], ''\n"
        b"local newest = redis.call('HGET', STATE, 's|' .. session_of(lease))\n"
        b"if newest and redis.call('ZSCORE', HELD, newest) then lease = newest end\n",
    )


def repair_off() -> None:
    """Anti-entropy never runs: lost leases and lost releases are not repeated."""
    patch(repair.AntiEntropy, "run", _sleep_for_ever)


def eviction_without_waiting() -> None:
    """A new session is admitted when its victim is asked to close, before the victim's lease is released."""
    take = acquirer.LeaseAcquirer.acquire  # pyright: ignore[reportPrivateUsage]
    send_away = acquirer.LeaseAcquirer._send_evict  # pyright: ignore[reportPrivateUsage]

    class _AdmitAtOnceError(Exception):
        pass

    def ask_and_admit(self: acquirer.LeaseAcquirer, newcomer: Lease, other: str, count: int) -> None:
        send_away(self, newcomer, other, count)
        raise _AdmitAtOnceError

    async def take_at_once(self: acquirer.LeaseAcquirer, lease: Lease) -> None:
        try:
            await take(self, lease)
        except _AdmitAtOnceError:
            lease.generation = "1"

    patch(acquirer.LeaseAcquirer, "_send_evict", ask_and_admit)
    patch(acquirer.LeaseAcquirer, "acquire", take_at_once)


def heartbeats_outlive_node() -> None:
    """The heartbeats of a node hold for long after it has died."""
    patch_script("HEARTBEAT", b"now + HOLDS_MS", b"now + HOLDS_MS + 25000")


def no_recovery_wait() -> None:
    """A Redis that was restarted empty grants places at once, while nodes may still hold some."""
    patch(lease_times.LeaseTimes, "recovery_ms", 0)


def server_unconfirmed() -> None:
    """A heartbeat counts on whatever server it is, also on one to which the address does not lead any more."""
    patch(RedisConnection, "unconfirmed_for", 0.0)


def lost_leases_unnoticed() -> None:
    """What is left of an owner's keys is taken for all of them."""
    patch_scripts(
        b"if held + infos ~= tonumber(state['.kept'] or 0) then",
        b"if false then",
    )


def release_overtakes_acquire() -> None:
    """A release is sent to Redis at once, and the acquire of its lease only a moment later. Nothing is restated."""

    async def restate_nothing(self: restating.LeaseRestating, *of: object, **how: object) -> None: ...

    _send_late(scripts.LEASE_ACQUIRE)
    patch(restating.LeaseRestating, "restate", restate_nothing)


# ---- presence


def rooms_unchecked() -> None:
    """Anti-entropy compares leases and the sessions of its own node, and nothing else."""

    async def find_them_right(self: room_checks.RoomChecks, partition: int, mine: set[str]) -> room_checks.Restated:
        return room_checks.Restated(is_right=True, rooms=0)

    patch(room_checks.RoomChecks, "check", find_them_right)


def grace_ignored() -> None:
    """A leave is announced without waiting for the grace."""
    patch_script("PRESENCE_LEAVE", b"tonumber(ARGV[3])", b"0")


async def _restate_nothing(self: presence.Presence, partition: int) -> room_checks.Restated:
    return room_checks.Restated(is_right=True, rooms=0)


def leave_lost() -> None:
    """Leaves are never sent to Redis."""

    def forget(self: presence.Presence, room: Channel, number: int) -> None: ...

    patch(presence.Presence, "leave", forget)
    patch(presence.Presence, "restate", _restate_nothing)


def join_event_lost() -> None:
    """A join is counted, and its event is not published."""
    publishing = b"publish_change('joined', user_id, username, users, count)"
    patch_script("PRESENCE_JOIN", publishing, b"set_meta('v', version() + 1)")


def batch_answers_mixed_up() -> None:
    """Each call of a batch is answered with what the script has returned of the first one."""

    def first_result(answer: asyncio.Future[Reply], calls: int) -> list[object]:
        return results_of(answer, calls)[:1] * calls

    results_of = script_batches.results_of
    patch(script_batches, "results_of", first_result)


def _send_late(overtaken: Script) -> None:
    """Batches of this script are sent to Redis only a moment later than those of others."""
    send = script_batches.ScriptBatches._send  # pyright: ignore[reportPrivateUsage]

    def send_late(self: script_batches.ScriptBatches, group: int, script: Script, calls: list[Any]) -> None:
        wait = OVERTAKEN_FOR if script == overtaken else 0
        asyncio.get_running_loop().call_later(wait, send, self, group, script, calls)

    patch(script_batches.ScriptBatches, "_send", send_late)


def leave_overtakes_join() -> None:
    """A leave is sent to Redis at once, and a join only a moment later. What that leaves behind is not restated."""
    _send_late(scripts.PRESENCE_JOIN)
    patch(presence.Presence, "restate", _restate_nothing)


def dead_sessions_stay() -> None:
    """The sessions of a dead node stay in their rooms."""

    async def leave_them(self: sweeper.Sweeper, part: int, incarnation: str) -> None: ...

    patch(sweeper.Sweeper, "_remove_dead", leave_them)


def same_session_id_counts_twice() -> None:
    """A session that reconnects under its name takes a second place."""
    patch_script("LEASE_ACQUIRE", b"  if namesake then\n", b"  if false then\n")


MUTANTS: dict[str, Callable[[], None]] = {
    mutate.__name__: mutate
    for mutate in (
        fencing_off,
        release_by_name,
        repair_off,
        eviction_without_waiting,
        heartbeats_outlive_node,
        no_recovery_wait,
        server_unconfirmed,
        lost_leases_unnoticed,
        release_overtakes_acquire,
        rooms_unchecked,
        same_session_id_counts_twice,
        grace_ignored,
        leave_lost,
        join_event_lost,
        batch_answers_mixed_up,
        leave_overtakes_join,
        dead_sessions_stay,
    )
}
