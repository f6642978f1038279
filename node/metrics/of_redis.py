"""Metrics of what a node depends on: Redis, the database of the archive, and the hooks of the application."""

from collections import Counter
from collections.abc import Iterable, Iterator

from ...fanout.external.breaker import CircuitState
from ...fanout.redis.pipeline import PipelineStatistics
from ..statistics import NodeStatistics
from .family import DurationFamily, DurationSample, Family, Kind, Sample, counter, gauge


def _connections(node: NodeStatistics) -> Iterator[tuple[str, PipelineStatistics]]:
    yield "publish", node.bus.pipeline
    yield "history", node.bus.reading
    yield "counted", node.bus.counted


def _commands(node: NodeStatistics) -> Iterable[Sample]:
    for name, connection in _connections(node):
        yield (name, "answered"), connection.answered
        yield (name, "failed"), connection.failed


def _script_calls(node: NodeStatistics) -> Iterable[Sample]:
    calls: Counter[str] = Counter()
    for _, connection in _connections(node):
        calls.update(connection.script_calls)
    return (((script,), count) for script, count in sorted(calls.items()))


def _durations(node: NodeStatistics) -> Iterable[DurationSample]:
    # That of `publish` is tannoy_publish_duration_seconds.
    return (((name,), connection.durations) for name, connection in _connections(node) if name != "publish")


def _checks(node: NodeStatistics) -> Iterable[Sample]:
    for name, service in node.services.items():
        yield (name, "succeeded"), service.checks - service.checks_failed
        yield (name, "failed"), service.checks_failed


def _breakers(node: NodeStatistics) -> Iterable[Sample]:
    for name, service in node.services.items():
        for work, breaker in service.work.breakers.items():
            for state in CircuitState:
                yield (name, work, state.value), breaker.state is state


def _hook_calls(node: NodeStatistics) -> Iterable[Sample]:
    for name, hook in node.hooks.items():
        results = {"forbidden": hook.forbidden, "failed": hook.failed, "late": hook.late, "lost": hook.lost}
        for result, count in results.items():
            yield (name, result), count


FAMILIES = (
    gauge("tannoy_redis_link_up", "1: all messages for this node come.", lambda node: node.bus.link.live),
    counter(
        "tannoy_redis_link_connections", "Connections that the link has opened.", lambda node: node.bus.link.connections
    ),
    counter(
        "tannoy_redis_link_losses",
        "Connections of the link that have ended.",
        lambda node: node.bus.link.connections_lost,
    ),
    counter(
        "tannoy_redis_echoes_missed",
        "Connections of the link that were replaced because Redis was silent.",
        lambda node: node.bus.link.echoes_missed,
    ),
    Family(
        Kind.GAUGE,
        "tannoy_redis_connection_up",
        "1: Redis takes commands over this connection.",
        ("connection",),
        lambda node: (((name,), connection.connected) for name, connection in _connections(node)),
    ),
    Family(
        Kind.COUNTER,
        "tannoy_redis_commands",
        "Commands to Redis, by their result.",
        ("connection", "result"),
        _commands,
    ),
    Family(
        Kind.GAUGE,
        "tannoy_redis_commands_in_flight",
        "Commands that Redis has not answered yet.",
        ("connection",),
        lambda node: (((name,), connection.in_flight) for name, connection in _connections(node)),
    ),
    Family(
        Kind.COUNTER,
        "tannoy_redis_script_calls",
        "Calls of Lua scripts; those that go together are one.",
        ("script",),
        _script_calls,
    ),
    Family(
        Kind.COUNTER,
        "tannoy_heartbeats",
        "Heartbeats, by whether Redis has confirmed them.",
        ("result",),
        lambda node: ((("confirmed",), node.bus.membership.beats), (("missed",), node.bus.membership.missed)),
    ),
    gauge(
        "tannoy_heartbeat_valid", "1: this node may serve sessions with leases.", lambda node: node.bus.membership.valid
    ),
    gauge("tannoy_nodes", "Live nodes that this node knows of.", lambda node: node.bus.membership.nodes_alive),
    Family(
        Kind.COUNTER,
        "tannoy_redis_unreadable",
        "Values in Redis that no node has written, by kind of key.",
        ("kind",),
        lambda node: (((kind,), count) for kind, count in node.bus.unreadable.items()),
    ),
    Family(
        Kind.GAUGE,
        "tannoy_service_up",
        "1: the last check of this service has succeeded.",
        ("service",),
        lambda node: (((name,), service.is_usable) for name, service in node.services.items()),
    ),
    Family(
        Kind.COUNTER, "tannoy_service_checks", "Checks of a service, by their result.", ("service", "result"), _checks
    ),
    Family(
        Kind.GAUGE,
        "tannoy_circuit_breaker",
        "1: the circuit breaker of this work is in this state.",
        ("service", "work", "state"),
        _breakers,
    ),
    gauge(
        "tannoy_archive_waiting",
        "Messages that are not written to the archive yet.",
        lambda node: None if node.archive is None else node.archive.waiting,
    ),
    gauge(
        "tannoy_archive_lag_seconds",
        "Seconds for which the oldest of them has waited.",
        lambda node: None if node.archive is None else node.archive.lag,
    ),
    counter(
        "tannoy_archive_lost",
        "Messages that were lost to the archive, because too many waited.",
        lambda node: None if node.archive is None else node.archive.lost,
    ),
    Family(
        Kind.COUNTER,
        "tannoy_hook_calls",
        "Calls of a hook.",
        ("hook",),
        lambda node: (((name,), hook.calls) for name, hook in node.hooks.items()),
    ),
    Family(
        Kind.COUNTER,
        "tannoy_hook_failures",
        "Calls of a hook without its consent, by result.",
        ("hook", "result"),
        _hook_calls,
    ),
    Family(
        Kind.GAUGE,
        "tannoy_hook_calls_waiting",
        "Calls of a hook that wait for their turn.",
        ("hook",),
        lambda node: (((name,), hook.waiting) for name, hook in node.hooks.items()),
    ),
)
DURATIONS = (
    DurationFamily(
        "tannoy_redis_command_duration_seconds",
        "Seconds from handing a command to its connection until Redis has answered it.",
        ("connection",),
        _durations,
    ),
)
