"""What the HTTP hooks tell of themselves. Here, without the packages that they need."""

from dataclasses import dataclass

from ..backlog import BacklogStatistics


@dataclass(frozen=True, slots=True)
class DeliveryStatistics:
    leads: bool
    """Whether this process delivers."""
    delivered: int
    """Events, by this process."""
    requests: int
    """That the target has taken."""
    retries: int
    """Requests that it has not taken at once."""
    buried: int
    """Events that have become dead letters."""
    backlog: BacklogStatistics
    """When it was last looked at; of all partitions."""


@dataclass(frozen=True, slots=True)
class SessionEventStatistics:
    waiting: int
    """Openings and ends that Redis has not taken yet."""
    lost: int
    """Of which it was never told, since too many waited."""
    ended: int
    """Dead processes whose sessions this process has told of."""


@dataclass(frozen=True, slots=True)
class WebhookStatistics:
    delivery: DeliveryStatistics | None
    """None: the settings have no TANNOY_HOOK_URL."""
    sessions: SessionEventStatistics | None
    """None: nothing is told of sessions."""
