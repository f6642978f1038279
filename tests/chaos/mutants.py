"""Nodes with one safety taken out: what the checker has to find, or it shows nothing.

`python -m tests.chaos.mutants NAME node --port 8001` is `tannoy node` with the mutation NAME. Each is a small function
that patches the product before anything of it has been built; where the text that it patches is not there any more it
fails at once, since a mutant that changes nothing would be found by nobody. `scenarios.py` shows each one's effect.
Those of limits and presence are here, those of messages in `messages/mutants.py`.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError
from tannoy.fanout import anti_entropy as repair
from tannoy.fanout import lease_times, membership, scripts
from tannoy.fanout.leases import manager as leases
from tannoy.fanout.leases.lease import Lease
from tannoy.fanout.presence import presence, sweeper
from tannoy.fanout.redis.connection import Word
from tannoy.node.cli.main import main as tannoy
from tannoy.shared.channels import PARTITIONS, Channel
from tannoy.shared.keyspace import Keyspace

from tests.chaos.harness.patching import patch, patch_script
from tests.chaos.messages.mutants import MUTANTS as MUTANTS_OF_MESSAGES

OUTLIVES_BY = 25.0
"""Seconds that heartbeats go on without their node, at most."""
BEAT = 1.0


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
    patch(leases.LeaseManager, "expired", close_nobody)


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
    take = leases.LeaseManager._take  # pyright: ignore[reportPrivateUsage]
    send_away = leases.LeaseManager._send_away  # pyright: ignore[reportPrivateUsage]

    class _LetInError(Exception):
        pass

    def tell_and_go_on(self: leases.LeaseManager, newcomer: Lease, other: str, count: int) -> None:
        send_away(self, newcomer, other, count)
        raise _LetInError

    async def take_at_once(self: leases.LeaseManager, lease: Lease) -> None:
        try:
            await take(self, lease)
        except _LetInError:
            lease.generation = "1"

    patch(leases.LeaseManager, "_send_away", tell_and_go_on)
    patch(leases.LeaseManager, "_take", take_at_once)


def heartbeats_outlive() -> None:
    """Something goes on sending the heartbeats of a node that has died."""
    run = membership.Membership.run

    async def run_with_a_second_heart(self: Any, pipeline: Any) -> None:
        incarnation: str = self._incarnation
        subprocess.Popen([sys.executable, "-m", __spec__.name if __spec__ else __name__, "beat", incarnation])
        await run(self, pipeline)

    patch(membership.Membership, "run", run_with_a_second_heart)


def beat(incarnation: str) -> None:
    """The second heart: until Redis is gone, and for OUTLIVES_BY seconds at most."""
    url = urlsplit(os.environ["TANNOY_REDIS_URL"])
    redis = Redis(host=url.hostname or "127.0.0.1", port=url.port or 6379)
    keyspace = Keyspace(os.environ.get("TANNOY_REDIS_PREFIX", "tannoy"))
    until = time.monotonic() + OUTLIVES_BY
    try:
        while time.monotonic() < until:
            pipeline: Any = cast("Any", redis).pipeline(transaction=False)
            for part in range(PARTITIONS):
                words: tuple[Word, ...] = (incarnation, lease_times.DEFAULT_TIMES.lease_ms)
                pipeline.eval(scripts.HEARTBEAT.source, 2, keyspace.heartbeats(part), keyspace.server(part), *words)
            pipeline.execute()
            time.sleep(BEAT)
    except RedisError:
        return


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
} | MUTANTS_OF_MESSAGES


def main() -> None:
    name, *rest = sys.argv[1:]
    if name == "beat":
        beat(*rest)
        return
    MUTANTS[name]()
    sys.argv = ["tannoy", *rest]
    tannoy()


if __name__ == "__main__":
    main()
