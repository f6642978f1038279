"""What a node tells of itself to other nodes and, through `GET /nodes`, to everybody."""

import time

from ...shared.clock import Clock, rfc3339
from ...shared.names import NodeId
from ...shared.nodes import NodeInfo


class NodeDescription:
    """Of this process, whose node has just been made."""

    def __init__(self, node_id: NodeId, incarnation: str, version: str, clock: Clock) -> None:
        self.version = version
        self._node_id = node_id
        self._incarnation = incarnation
        self._started_at = rfc3339(clock.now())
        self._last_load = (time.process_time(), time.monotonic())

    def describe(self, sessions: int, channels: int, *, draining: bool, ready: bool) -> NodeInfo:
        """Its load is that since the last call."""
        cpu, now = time.process_time(), time.monotonic()
        last_cpu, last_now = self._last_load
        self._last_load = (cpu, now)
        return NodeInfo(
            node=self._node_id,
            incarnation=self._incarnation,
            sessions=sessions,
            channels=channels,
            load=round((cpu - last_cpu) / max(now - last_now, 0.001), 3),
            version=self.version,
            draining=draining,
            ready=ready,
            started_at=self._started_at,
        )
