"""Nodes with one safety of limits or presence removed. `scenarios.py` shows the effect of each."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from tannoy.fanout import anti_entropy as repair
from tannoy.fanout import lease_times, membership
from tannoy.fanout.leases import acquirer
from tannoy.fanout.leases import manager as leases
from tannoy.fanout.leases.lease import Lease
from tannoy.fanout.presence import presence, sweeper
from tannoy.shared.channels import Channel

from tests.chaos.harness.patching import patch, patch_script
from tests.support import processes


async def _sleep_for_ever(self: object) -> None:
    await asyncio.Event().wait()


# ---- limits


def fencing_off() -> None:
    """A node serves its sessions, whether its heartbeat has run out or not."""

    def never(self: leases.LeaseManager) -> bool:
        return False

    def close_nobody(self: leases.LeaseManager) -> None: ...

    patch(leases.LeaseManager, "fence_if_expired", never)
    patch(leases.LeaseManager, "may_serve", True)
    patch(leases.LeaseManager, "on_expired", close_nobody)


def release_by_name() -> None:
    """Giving back a place frees whatever lease the session's name has by now, not the one it was meant for."""
    patch_script(
        "LEASE_RELEASE",
        b"local lease, generation = ARGV[1], ARGV[2]\n",
        b"local lease, generation = ARGV[1], ''\n"
        b"local newest = redis.call('HGET', STATE, 's|' .. session_of(lease))\n"
        b"if newest and redis.call('ZSCORE', HELD, newest) then lease = newest end\n",
    )


def repair_off() -> None:
    """Nothing that got lost is stated again, or given back again."""
    patch(repair.AntiEntropy, "run", _sleep_for_ever)


def eviction_without_waiting() -> None:
    """The newcomer is let in as soon as its victim has been told to go."""
    take = acquirer.LeaseAcquirer.acquire  # pyright: ignore[reportPrivateUsage]
    send_away = acquirer.LeaseAcquirer._send_evict  # pyright: ignore[reportPrivateUsage]

    class _LetInError(Exception):
        pass

    def tell_and_go_on(self: acquirer.LeaseAcquirer, newcomer: Lease, other: str, count: int) -> None:
        send_away(self, newcomer, other, count)
        raise _LetInError

    async def take_at_once(self: acquirer.LeaseAcquirer, lease: Lease) -> None:
        try:
            await take(self, lease)
        except _LetInError:
            lease.generation = "1"

    patch(acquirer.LeaseAcquirer, "_send_evict", tell_and_go_on)
    patch(acquirer.LeaseAcquirer, "acquire", take_at_once)


def heartbeats_outlive() -> None:
    """Something goes on sending the heartbeats of a node that has died."""
    run = membership.Membership.run

    async def run_with_a_second_heart(self: Any, pipeline: Any) -> None:
        incarnation: str = self._incarnation
        command = [sys.executable, "-m", "tests.chaos.limits.second_heartbeat", incarnation]
        processes.start(command)  # in a group of its own, which is not killed with the node's
        await run(self, pipeline)

    patch(membership.Membership, "run", run_with_a_second_heart)


def no_recovery() -> None:
    """A Redis that has lost its memory gives places at once, whoever may still hold one."""
    patch(lease_times.LeaseTimes, "recovery_ms", 0)


# ---- presence


def grace_ignored() -> None:
    """Whoever is away for a moment is shown as gone."""
    patch_script("PRESENCE_LEAVE", b"tonumber(ARGV[5])", b"0")


def leave_lost() -> None:
    """Nobody ever leaves a room."""

    def forget(self: presence.Presence, room: Channel, number: int) -> None: ...

    async def restate(self: presence.Presence, partition: int, present: object) -> None: ...

    patch(presence.Presence, "leave", forget)
    patch(presence.Presence, "restate", restate)


def event_lost() -> None:
    """Who comes is counted, and nobody is told."""
    patch_script("PRESENCE_JOIN", b"changed('joined', user_id, username)", b"raise_version(1)")


def dead_stay() -> None:
    """The sessions of a node that has died stay in their rooms."""

    async def leave_them(self: sweeper.Sweeper, part: int, incarnation: str) -> None: ...

    patch(sweeper.Sweeper, "_take_out", leave_them)


def namesake_counts_twice() -> None:
    """A session that connects again under its own name takes a second place."""
    patch_script("LEASE_ACQUIRE", b"\nif namesake then\n", b"\nif false then\n")


MUTANTS: dict[str, Callable[[], None]] = {
    mutate.__name__: mutate
    for mutate in (
        fencing_off,
        release_by_name,
        repair_off,
        eviction_without_waiting,
        heartbeats_outlive,
        no_recovery,
        namesake_counts_twice,
        grace_ignored,
        leave_lost,
        event_lost,
        dead_stay,
    )
}
