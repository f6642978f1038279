"""What `GET /metrics` answers: the statistics of a node, put into the text formats of Prometheus and OpenMetrics."""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ...shared.durations import BOUNDS_SECONDS, DurationStatistics
from ..statistics import NodeStatistics
from . import of_messages, of_process, of_redis, of_sessions, of_webhooks
from .family import DurationFamily, Family, Kind

FAMILIES = (
    *of_process.FAMILIES,
    *of_sessions.FAMILIES,
    *of_messages.FAMILIES,
    *of_redis.FAMILIES,
    *of_webhooks.FAMILIES,
)
DURATIONS = (*of_messages.DURATIONS, *of_redis.DURATIONS)

_BOUNDS = (*map(str, BOUNDS_SECONDS), "+Inf")


class NodeCollector(Collector):
    """`read` gives the statistics of the node; it is called once for each answer."""

    def __init__(self, read: Callable[[], NodeStatistics]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing: otherwise the registry would collect once when it is made."""
        return ()

    def collect(self) -> Iterator[Metric]:
        statistics = self._read()
        for family in FAMILIES:
            yield _metric_of(family, statistics)
        for durations in DURATIONS:
            yield _histogram_of(durations, statistics)


def _metric_of(family: Family, statistics: NodeStatistics) -> Metric:
    metric_type = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = metric_type(family.name, family.meaning, labels=family.labels)
    for labels, value in family.read(statistics):
        metric.add_metric(labels, float(value))
    return metric


def _histogram_of(family: DurationFamily, statistics: NodeStatistics) -> Metric:
    metric = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, durations in family.read(statistics):
        metric.add_metric(labels, _buckets_of(durations), durations.total_seconds)
    return metric


def _buckets_of(durations: DurationStatistics) -> list[tuple[str, float]]:
    """Prometheus counts in each bucket all that lies below its bound."""
    return list(zip(_BOUNDS, accumulate(durations.counts), strict=True))


class Exposition:
    """The metrics of one node, and those of its process by Prometheus' own names (`process_…`)."""

    def __init__(self, read: Callable[[], NodeStatistics]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(NodeCollector(read))
        ProcessCollector(registry=self._registry)

    def encode(self, accept: str) -> tuple[bytes, str]:
        """The metrics, and their content type: the format that the header `Accept` asks for."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type
