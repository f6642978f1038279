"""What every connection of a node shares."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from ..fanout.control import Control
from ..fanout.cursors import Cursors
from ..fanout.history import History
from ..fanout.presence import Presence
from ..fanout.publisher import Publisher
from ..fanout.subscriber import Subscriber
from ..shared.clock import Clock
from ..shared.names import NodeId
from .hub import Hub
from .outbox import OutboxLimits
from .places import Places
from .roll_call import RollCall
from .timers import TimerWheel


@dataclass(slots=True)
class Services:
    """Composed by `node.py`. `received` and `refused` count frames and refusals of all connections."""

    node_id: NodeId
    hub: Hub
    subscriber: Subscriber
    publisher: Publisher
    control: Control
    presence: Presence
    history: History
    cursors: Cursors
    places: Places
    roll_call: RollCall
    wheel: TimerWheel
    clock: Clock
    limits: OutboxLimits
    ping_interval: float
    next_stay: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)
    """Numbers of presences."""
    connections: int = 0
    received: int = 0
    refused: int = 0
