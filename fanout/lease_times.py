"""How long heartbeats and leases hold: one value for nodes and scripts, the same on all nodes of a cluster."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Raises ValueError where these times together would not keep the promise that no lease is held twice."""

    heartbeat_seconds: float = 2.0
    """Between two heartbeats of a node: one may be lost, and a slow one still comes in time."""
    lease_seconds: float = 6.0
    """For which a heartbeat holds in Redis. After that, other nodes may take over what the node held."""
    margin_seconds: float = 1.0
    """By which a node stops to serve before that: the clocks of Redis and of its machine may drift apart so far."""
    recovery_seconds: float = 5.5
    """For which a Redis that may have forgotten leases grants none. A little more than `valid_seconds`: a node that has
    not stated its leases by then has closed its sockets."""
    admission_seconds: float = 10.0
    """For which a handshake waits for a lease: longer than it takes until that of a dead node has run out."""
    sweep_seconds: float = 1.0
    """Between two sweeps over the presence of all rooms."""
    repair_seconds: float = 1.0
    """Between two looks of anti-entropy at what has to be stated again."""
    round_seconds: float = 60.0
    """In which anti-entropy restates everything once, if nothing is urgent: for how long an unnoticed loss lasts."""

    def __post_init__(self) -> None:
        if not 0 < self.heartbeat_seconds < self.valid_seconds < self.lease_seconds:
            raise ValueError(f"heartbeats have to come while the last one is valid, and end before the lease: {self}")
        if self.recovery_seconds < self.valid_seconds:
            raise ValueError(f"a Redis that recovers has to wait for the nodes that it has forgotten: {self}")
        if self.admission_seconds < self.lease_seconds:
            raise ValueError(f"a handshake has to wait until the lease of a dead node has run out: {self}")

    @property
    def valid_seconds(self) -> float:
        """For which a node may act on a heartbeat, from before it was sent."""
        return self.lease_seconds - self.margin_seconds

    @property
    def lease_ms(self) -> int:
        return round(self.lease_seconds * 1000)

    @property
    def recovery_ms(self) -> int:
        return round(self.recovery_seconds * 1000)

    @property
    def silent_ms(self) -> int:
        """For which a node has missed its next heartbeat when its lease runs out: it has been dead for about that."""
        return round((self.lease_seconds - self.heartbeat_seconds) * 1000)


DEFAULT_TIMES = LeaseTimes()
"""What every node uses outside of tests."""
