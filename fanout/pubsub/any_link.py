"""What its users see of a link, be it to one server or to all masters of a Redis Cluster, and what it calls in turn."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from ...shared.durations import DurationStatistics
from .link_state import Batch


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    live: bool
    """All channels are subscribed, and Redis answers."""
    connections: int
    """Connections that were opened so far."""
    channels: int
    """Channels that are wanted, without the link's own echo channel."""
    deliveries: int
    """Messages that came so far."""
    echoes_missed: int
    """Connections that were dropped because an echo did not come back in time."""
    connections_lost: int
    """Connections that have ended, for whatever reason."""
    servers_parted: int
    """Times that command connections were found to go to another server than the link."""
    delays: DurationStatistics
    """From a publish over a command connection until the link brought it; of nonces, two a second and connection."""


class AnyLink(Protocol):
    """A link to one server, or to all masters of a Redis Cluster: its users need not know which."""

    live: asyncio.Event

    @property
    def down_for(self) -> float: ...
    def subscribe(self, channel: bytes) -> None: ...
    def unsubscribe(self, channel: bytes) -> None: ...
    def is_subscribed(self, channel: bytes) -> bool: ...
    def send_barrier(self, partition: int) -> asyncio.Future[bool]: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    async def run(self) -> None: ...
    def statistics(self) -> LinkStatistics: ...


class LinkListener(Protocol):
    """Called by a link, always on the event loop, in the order in which Redis has sent what it is about."""

    def deliver_batch(self, batch: Batch) -> None:
        """Messages that came in one read of the socket, in order."""
        ...

    def on_subscribed(self, channels: list[bytes]) -> None:
        """Redis has acknowledged the subscriptions to these channels."""
        ...

    def on_live(self) -> None:
        """The link receives all its channels again, after a time in which messages may have been missed."""
        ...
