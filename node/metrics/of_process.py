"""Metrics of the node process: whether it is ready, and what it uses."""

from collections.abc import Callable

from ..admission.resources import ResourceStatistics
from ..lifecycle.memory import MEGABYTE
from ..statistics import NodeStatistics
from .family import Family, Kind, counter, gauge


def _scaled(
    read: Callable[[ResourceStatistics], float | None], factor: float
) -> Callable[[NodeStatistics], float | None]:
    """A measure in the base unit of Prometheus; None: it is not measured."""

    def scale(node: NodeStatistics) -> float | None:
        value = read(node.resources)
        return None if value is None else value * factor

    return scale


FAMILIES = (
    Family(
        Kind.GAUGE,
        "tannoy_node_info",
        "1, with the name and the version of this node.",
        ("node", "version"),
        lambda node: (((node.node, node.version), 1),),
    ),
    gauge("tannoy_node_ready", "1: a load balancer may send clients to this node.", lambda node: node.ready),
    gauge("tannoy_node_draining", "1: this node leaves.", lambda node: node.draining),
    gauge(
        "tannoy_event_loop_lag_seconds",
        "By how much the event loop was late at most, in the last second.",
        _scaled(lambda resources: resources.loop_lag_ms, 0.001),
    ),
    gauge(
        "tannoy_cpu_ratio",
        "Share of one core that this node used in the last second.",
        _scaled(lambda resources: resources.cpu_percent, 0.01),
    ),
    gauge(
        "tannoy_memory_bytes",
        "Memory in use, by which the node decides whether it is overloaded.",
        _scaled(lambda resources: resources.memory_mb, MEGABYTE),
    ),
    gauge(
        "tannoy_memory_max_bytes",
        "Memory from which on the node is overloaded; 0: no bound.",
        _scaled(lambda resources: resources.memory_max_mb, MEGABYTE),
    ),
    gauge(
        "tannoy_open_files_ratio",
        "Share of the files that clients may have open.",
        _scaled(lambda resources: resources.files_percent, 0.01),
    ),
    counter("tannoy_overloads", "Times that the node was overloaded.", lambda node: node.resources.overloads),
    counter("tannoy_log_lines_lost", "Lines of the log that were lost.", lambda node: node.log.lost_lines),
)
