"""Metrics of the HTTP hooks; a node without them has none."""

from collections.abc import Callable

from ...fanout.webhooks.statistics import DeliveryStatistics
from ..statistics import NodeStatistics
from .family import Family, counter, gauge


def _of_delivery(read: Callable[[DeliveryStatistics], float]) -> Callable[[NodeStatistics], float | None]:
    def read_if_known(node: NodeStatistics) -> float | None:
        delivery = None if node.webhooks is None else node.webhooks.delivery
        return None if delivery is None else read(delivery)

    return read_if_known


def _of_leader(read: Callable[[DeliveryStatistics], float]) -> Callable[[NodeStatistics], float | None]:
    """What only the node that delivers looks at."""

    def read_if_leader(node: NodeStatistics) -> float | None:
        delivery = None if node.webhooks is None else node.webhooks.delivery
        return read(delivery) if delivery is not None and delivery.leads else None

    return read_if_leader


FAMILIES: tuple[Family, ...] = (
    gauge("tannoy_webhook_leader", "1: this node delivers the events.", _of_delivery(lambda found: found.leads)),
    counter(
        "tannoy_webhook_events_delivered",
        "Events that the target has taken from this node.",
        _of_delivery(lambda found: found.delivered),
    ),
    counter(
        "tannoy_webhook_retries",
        "Requests that the target has not taken from this node.",
        _of_delivery(lambda found: found.retries),
    ),
    counter(
        "tannoy_webhook_dead_letters",
        "Events that this node has made dead letters.",
        _of_delivery(lambda found: found.buried),
    ),
    gauge("tannoy_webhook_events_waiting", "Events that wait.", _of_leader(lambda found: found.backlog.waiting)),
    gauge(
        "tannoy_webhook_lag_seconds",
        "Seconds for which the oldest event has waited.",
        _of_leader(lambda found: found.backlog.lag),
    ),
    counter(
        "tannoy_webhook_events_lost",
        "Events that were dropped, because too many waited.",
        _of_leader(lambda found: found.backlog.lost),
    ),
)
