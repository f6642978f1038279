"""The statistics of a node: of the node itself, its parts, and its bus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from ..fanout.backlog import BacklogStatistics
from ..fanout.bus import BusStatistics
from ..fanout.external.service import ServiceStatistics
from ..fanout.webhooks.statistics import WebhookStatistics
from ..shared.protocol.frames import Object
from ..shared.turns import TurnsStatistics
from .admission.handshake_queue import HandshakeStatistics
from .admission.other_connections import OtherStatistics
from .admission.resources import ResourceStatistics
from .auth.jwks import KeyStatistics
from .connections.context import ConnectionStatistics
from .connections.join_turns import JoinTurnsStatistics
from .connections.session_log import EndStatistics
from .connections.timers import TimerWheelStatistics
from .delivery.hub import HubStatistics
from .delivery.outbox import OutboxStatistics
from .delivery.relay import RelayStatistics
from .delivery.stream_watch import StreamWatchStatistics
from .hooks.runner import HookStatistics
from .lifecycle.bounded_writer import WriterStatistics


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    node: str
    """The node's ID."""
    pid: int
    """Of the process."""
    version: str
    """Of Tannoy."""
    ready: bool
    """Whether a load balancer should send clients here."""
    hub: HubStatistics
    relay: RelayStatistics
    wheel: TimerWheelStatistics
    connections: ConnectionStatistics
    other_connections: OtherStatistics
    handshakes: HandshakeStatistics
    joins: JoinTurnsStatistics
    outbox: OutboxStatistics
    streams: StreamWatchStatistics
    publishing: TurnsStatistics
    """Of messages that take turns, in bytes (`node/operations/publishing.py`)."""
    pages: TurnsStatistics
    """Of reads of pages, by their weight (`node/operations/pages.py`)."""
    http_answers: TurnsStatistics
    """Of pages and lists over HTTP, until their clients have read them (`node/web/large_answers.py`)."""
    resources: ResourceStatistics
    refused: Mapping[str, int]
    """Handshakes and unreadable requests that were refused, by reason (`node/admission/refusals.py`)."""
    hooks: Mapping[str, HookStatistics]
    """Of the application that the node runs in, by name (`node/hooks/runner.py`)."""
    keys: KeyStatistics | None
    """Of the keys that verify tokens; None: they are in the settings."""
    log: WriterStatistics
    """Of the process' log."""
    services: Mapping[str, ServiceStatistics]
    """What the node depends on outside of it, by name: Redis, the database of the archive."""
    archive: BacklogStatistics | None
    """What waits to be written to the archive; None: nothing is archived, or Redis has not said yet."""
    draining: bool
    """Whether the node leaves."""
    not_ready: str | None
    """Why a load balancer should not send clients here."""
    now: str
    """By the clock of the node, RFC 3339."""
    sessions_max: int
    """That the settings allow."""
    sessions_possible: int
    """For which it may open files."""
    ended: Sequence[EndStatistics]
    """How sessions have ended."""
    loss_ages: Sequence[float]
    """Seconds that the connections which were lost last had lasted."""
    rules: Mapping[str, int]
    """Sessions that were refused or closed, by the rule that decided (`docs/protocol.md §6`)."""
    webhooks: WebhookStatistics | None
    """Of the HTTP hooks; None: the settings have none."""
    bus: BusStatistics

    def as_object(self) -> Object:
        """Return the content of `/diagnostics`: the parts of the bus stand beside those of the node."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "bus"}
        return own | {field.name: getattr(self.bus, field.name) for field in fields(self.bus)}
