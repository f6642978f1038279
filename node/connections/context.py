"""What every connection of a node shares."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from ...fanout.history.reader import HistoryReader
from ...fanout.history.tracker import ChannelTracker
from ...fanout.presence.presence import Presence
from ...fanout.pubsub.subscriptions import ChannelSubscriptions
from ...shared.clock import Clock
from ...shared.names import NodeId
from ..delivery.hub import Hub
from ..delivery.outbox import OutboxLimits
from ..operations.presence import PresenceQueries
from ..operations.publishing import Publishing
from .session_limits import SessionLeases
from .timers import TimerWheel


@dataclass(slots=True)
class ConnectionContext:
    """Composed by `node.py`. `received` and `refused` count frames and refusals of all connections."""

    node_id: NodeId
    hub: Hub
    subscriptions: ChannelSubscriptions
    publishing: Publishing
    presence: Presence
    history: HistoryReader
    tracker: ChannelTracker
    session_leases: SessionLeases
    presence_queries: PresenceQueries
    wheel: TimerWheel
    clock: Clock
    limits: OutboxLimits
    ping_interval: float
    next_presence_number: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)
    """Numbers of presences."""
    connections: int = 0
    received: int = 0
    refused: int = 0
