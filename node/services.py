"""What every connection of a node shares."""

from dataclasses import dataclass

from ..fanout.control import Control
from ..fanout.publisher import Publisher
from ..fanout.subscriber import Subscriber
from ..shared.clock import Clock
from ..shared.names import NodeId
from .hub import Hub
from .outbox import OutboxLimits
from .timers import TimerWheel


@dataclass(slots=True)
class Services:
    """Composed by `node.py`. `received` and `refused` count frames and refusals of all connections."""

    node_id: NodeId
    hub: Hub
    subscriber: Subscriber
    publisher: Publisher
    control: Control
    wheel: TimerWheel
    clock: Clock
    limits: OutboxLimits
    ping_interval: float
    received: int = 0
    refused: int = 0
