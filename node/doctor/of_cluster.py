"""What the list of nodes, the clocks, and a look at Redis show. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...fanout.examination import ServerFacts
from .finding import Finding, critical, warning

SKEW_SECONDS = 1.0
"""By which clocks may differ."""
ROUND_TRIP_SECONDS = 0.05
"""To Redis, beyond which each publish is noticeably late."""


def examine_nodes(nodes: Sequence[Mapping[str, Any]], *, examined: str = "") -> Iterator[Finding]:
    """`nodes` are those of `GET /nodes`; the one with the name `examined` has told whether it is ready."""
    if names := [
        name for name, count in Counter(node["node"] for node in nodes if not node["draining"]).items() if count > 1
    ]:
        yield warning(
            "same_name",
            "cluster",
            f"several nodes are called {', '.join(names)}",
            "logs, lists of sessions and tannoy drain can't tell them apart",
            "give each its own TANNOY_NODE_ID, or none",
        )
    if len(versions := sorted({node["version"] for node in nodes})) > 1:
        yield warning(
            "versions",
            "cluster",
            f"nodes run different versions: {', '.join(versions)}",
            "that is so during an upgrade, and should not last",
            "finish the upgrade",
        )
    for node in nodes:
        if not node["ready"] and not node["draining"] and node["node"] != examined:
            yield critical(
                "not_ready",
                "cluster",
                f"node {node['node']} is not ready",
                "load balancers send it no clients",
                f"tannoy doctor --url of {node['node']} itself says why",
            )


def examine_clock(whose: str, offset: float, uncertainty: float) -> Iterator[Finding]:
    """`offset`: seconds by which its clock is ahead of ours, give or take `uncertainty`."""
    if abs(offset) > SKEW_SECONDS + uncertainty:
        yield warning(
            "clock_skew",
            "cluster",
            f"the clock of {whose} is {abs(offset):.1f} s {'ahead of' if offset > 0 else 'behind'} the one here",
            "timestamps of messages, the ends of tokens and of revocations are off by as much",
            "run NTP (chrony, systemd-timesyncd) on all machines",
            offset_seconds=round(offset, 3),
        )


def examine_server(facts: ServerFacts) -> Iterator[Finding]:
    """One Redis server."""
    yield from examine_clock(f"Redis at {facts.address}", facts.clock_offset, facts.round_trip)
    if facts.round_trip > ROUND_TRIP_SECONDS:
        yield warning(
            "far_redis",
            "Redis",
            f"a round trip to Redis at {facts.address} takes {1000 * facts.round_trip:.0f} ms",
            "every publish and every join takes at least as long",
            "run nodes and Redis in one region",
            round_trip_ms=round(1000 * facts.round_trip, 1),
        )
    if facts.dead_processes:
        yield warning(
            "ghost_sessions",
            "Redis",
            f"{len(facts.dead_processes)} nodes have died, and their sessions are still listed",
            "these count as present until another node has removed them, which takes 15 s",
            "if that lasts, no node lives that could: start one",
            incarnations=list(facts.dead_processes),
        )
