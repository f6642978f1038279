"""What the connections of a node share: composed once by `node.py`, in parts for those who use them."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...fanout.history.reader import HistoryReader
from ...fanout.history.tracker import ChannelTracker
from ...fanout.presence.presence import Presence
from ...fanout.pubsub.subscriptions import ChannelSubscriptions
from ...fanout.streams.producing import StreamProducing
from ...shared.channels import Channel
from ...shared.clock import Clock
from ...shared.turns import Turns
from ..admission.owner_rates import OwnerRates
from ..admission.rate_limits import SessionRates
from ..auth.verifier import TokenVerifier
from ..delivery.hub import Hub
from ..delivery.outbox import OutboxLimits
from ..operations.history import HistoryQueries
from ..operations.presence import PresenceQueries
from ..operations.publishing import Publishing
from ..protocols.session import NodeTerms
from .bus_status import BusStatus
from .join_turns import JoinTurns
from .session_limits import SessionLeases
from .session_log import SessionLog
from .timers import TimerWheel


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    open: int
    """Connections between their handshake and the end of their socket."""
    frames_received: int
    """Frames with a command, of all connections so far."""
    refused: int
    """Commands that were answered with `error`, of all connections so far."""
    flooding: int
    """Connections that were closed because their clients sent too many frames, so far."""
    rate_limited: int
    """Commands and ping frames that were refused for a rate, of all connections so far."""
    rate_closed: int
    """Connections that were closed because their clients went on beyond a rate, so far."""


@dataclass(slots=True)
class ConnectionCounters:
    """Of all connections of the node."""

    open: int = 0
    frames_received: int = 0
    refused: int = 0
    flooding: int = 0
    rate_limited: int = 0
    rate_closed: int = 0

    def statistics(self) -> ConnectionStatistics:
        return ConnectionStatistics(
            self.open, self.frames_received, self.refused, self.flooding, self.rate_limited, self.rate_closed
        )


@dataclass(frozen=True, slots=True)
class JoinContext:
    """What a join needs."""

    hub: Hub
    subscriptions: ChannelSubscriptions
    tracker: ChannelTracker
    history: HistoryReader
    presence: Presence
    turns: JoinTurns
    """In which sessions join: so many at once."""
    inline_max: int
    """Users up to which a room's snapshot lists all of them."""
    look_at_streams: Callable[[Channel], None]
    """Called when a session has begun to join a channel: its open streams will be delivered."""
    page_turns: Turns
    """Of all that reads pages; a recovery takes one turn."""
    recover_max_bytes: int
    """Bytes of missed messages, in a wire format, that a session is sent at once; beyond that it is not recovered."""
    admits_without_bus: bool
    """Whether sessions that hold a lease join their agent while this node has no subscription, since Redis is away."""
    next_presence_number: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What the commands of a session need."""

    publishing: Publishing
    history_queries: HistoryQueries
    presence_queries: PresenceQueries
    streams: StreamProducing
    clock: Clock
    counters: ConnectionCounters
    rates: SessionRates | None = None
    """Of each session; None: neither it nor its user or agent has any."""
    owner_rates: Sequence[OwnerRates] = ()
    """Of users and agents, on all nodes."""
    charge_address: Callable[[str | None], None] = lambda address: None
    """Called with the address of a client whose session is closed because it sends too much."""


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """What a connection needs."""

    terms: NodeTerms
    hub: Hub
    session_leases: SessionLeases
    session_log: SessionLog
    bus_status: BusStatus
    wheel: TimerWheel
    clock: Clock
    outbox_limits: OutboxLimits
    joins: JoinContext
    commands: CommandContext
    counters: ConnectionCounters
    verifier: TokenVerifier | None
    """Of tokens; None: this node asks for none."""
