"""What all nodes count and decide together: heartbeats, leases, presence, rates, disconnects, revocations, and the
anti-entropy that mends them.

They have a connection of their own, so that a flood of publishes holds up no heartbeat.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ..shared.channels import OwnerKind
from ..shared.clock import Clock
from ..shared.keyspace import Keyspace
from ..shared.nodes import NodeInfo
from ..shared.policy import Limit, LimitMode
from .anti_entropy import AntiEntropy
from .backend import RedisBackend
from .control.requests import Announcement, Notice
from .disconnects import DisconnectLog
from .heartbeats import HEARTBEAT_SCRIPTS
from .lease_times import DEFAULT_TIMES, LeaseTimes
from .leases.calls import LEASE_SCRIPTS, LeaseCalls
from .leases.limits import Limits
from .leases.manager import LeaseManager
from .membership import Membership
from .presence.calls import PRESENCE_SCRIPTS, PresenceRules
from .presence.presence import Presence
from .presence.room_checks import SeenVersion, none_seen
from .probe import Probe, coordination_probe
from .pubsub.envelopes import PLAIN, Envelopes
from .rate_limits import RATE_SCRIPTS, RateCalls
from .revocations.calls import REVOCATION_SCRIPTS
from .revocations.revocations import Revocations
from .scripts import COORDINATION_PROBE, REMEMBER_GONE, SERVER_ENSURE, UNREADABLE_REMOVE
from .server_life import ServerLives


@dataclass(frozen=True, slots=True)
class CoordinationRules:
    """`limits` hold for agents and users that have not been given one of their own."""

    limits: dict[OwnerKind, Limit]
    mode: LimitMode
    presence: PresenceRules
    times: LeaseTimes = DEFAULT_TIMES


class Coordination:
    """Needs the tasks of `jobs` running.

    `send_notice` sends a notice to the process of an incarnation, `announce` something to all nodes; `describe` gives
    what other nodes may know of this one. `on_revoked` is called when sessions of this node may be revoked.
    """

    def __init__(
        self,
        backend: RedisBackend,
        keyspace: Keyspace,
        rules: CoordinationRules,
        lives: ServerLives,
        *,
        incarnation: str,
        name: str,
        clock: Clock,
        send_notice: Callable[[str, Notice], None],
        announce: Callable[[Announcement], None],
        describe: Callable[[], NodeInfo],
        on_revoked: Callable[[], None],
        envelopes: Envelopes = PLAIN,
        seen_version: SeenVersion = none_seen,
    ) -> None:
        times = rules.times
        self.membership = Membership(
            keyspace, lives, incarnation=incarnation, clock=clock, describe=describe, times=times
        )
        self.pipeline = backend.pipeline(
            name=f"tannoy-counted-{name}",
            scripts=(
                *(SERVER_ENSURE, COORDINATION_PROBE, UNREADABLE_REMOVE, REMEMBER_GONE),
                *(*HEARTBEAT_SCRIPTS, *LEASE_SCRIPTS, *PRESENCE_SCRIPTS, *REVOCATION_SCRIPTS, *RATE_SCRIPTS),
            ),
            on_connected=self.membership.on_connected,
        )
        calls = LeaseCalls(self.pipeline, keyspace, incarnation=incarnation, times=times, unreadable=backend.unreadable)
        self.limits = Limits(calls, defaults=rules.limits, send_notice=send_notice)
        self.leases = LeaseManager(
            calls,
            self.membership,
            incarnation=incarnation,
            limits=self.limits,
            mode=rules.mode,
            send_notice=send_notice,
            times=times,
        )
        self.membership.attach(self.leases)
        probe = coordination_probe(self.pipeline, keyspace)
        self._probe = Probe("leases and presence", self.pipeline, probe, lambda: backend.first_partitions)
        self.presence = Presence(
            self.pipeline,
            keyspace,
            incarnation=incarnation,
            rules=rules.presence,
            times=times,
            unreadable=backend.unreadable,
            envelopes=envelopes,
            free_leases=calls.free_dead,
            seen_version=seen_version,
        )
        self.rates = RateCalls(self.pipeline, keyspace)
        self.disconnects = DisconnectLog(self.pipeline, keyspace, backend.unreadable)
        self.revocations = Revocations(
            self.pipeline,
            keyspace,
            clock=clock,
            unreadable=backend.unreadable,
            announce=announce,
            on_revoked=on_revoked,
        )
        self.anti_entropy = AntiEntropy(
            self.pipeline, self.membership, self.leases, self.presence, self.disconnects, times
        )

    @property
    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run, by name."""
        return {
            "counted": self.pipeline.run,
            "heartbeat": self._send_heartbeats,
            "presence": self.presence.run,
            "revocations": self.revocations.run,
            "coordination probe": self._probe.run,
            "repair": self.anti_entropy.run,
        }

    async def wait_until_ready(self) -> None:
        """Never returns while Redis takes no commands: who is revoked is not known then."""
        await self.pipeline.connected.wait()
        await self.revocations.loaded.wait()

    async def _send_heartbeats(self) -> None:
        await self.membership.run(self.pipeline)

    @property
    def not_ready_reason(self) -> str | None:
        """None: the heartbeat holds, the last one was confirmed, and the connection takes commands."""
        if not self.pipeline.connected.is_set():
            return "Redis takes no heartbeats"
        if self.membership.refusal is not None:
            return f"Redis takes no heartbeats: {self.membership.refusal}"
        if not self.membership.is_valid:
            return "the heartbeat of this node has expired: it has no leases"
        if not self.revocations.loaded.is_set():
            return "the revocations have not been read yet"
        refusal = self._probe.refusal
        return None if refusal is None else f"Redis takes no leases and presence: {refusal}"

    async def list_nodes(self) -> list[NodeInfo]:
        """The nodes whose heartbeat holds. Raises Unavailable."""
        return await self.membership.list_nodes(self.pipeline)

    async def leave(self) -> None:
        """End the heartbeat of this node, whose sockets are closed. Raises Unavailable."""
        self.membership.close()
        await self.membership.leave(self.pipeline)
