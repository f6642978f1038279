"""What `GET /diagnostics` of one node shows. Pure: a table of rules, each of which looks at one thing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .finding import Finding, critical, warning

Diagnostics = Mapping[str, Any]

LAG_MS = 250.0
"""Of the event loop, from which on clients notice."""
CPU_PERCENT = 85.0
MEMORY_SHARE, FILES_PERCENT = 0.9, 85.0
TOKENS_REFUSED = 3
"""Fewer may be single clients."""
MISSED_SHARE = 0.05
"""Of the heartbeats."""
LAG_OF_ARCHIVE = 60.0
"""Seconds."""
BUNCHED_LEAST, BUNCHED_SHARE = 5, 0.6
"""Lost connections of about the same age, and their share of all that were lost, that betray a time-out."""
_NO_ROOM = ("sessions", "files", "memory", "cpu", "loop_lag", "connections", "handshakes")


def examine_node(diagnostics: Diagnostics) -> list[Finding]:
    """What is wrong with this node."""
    return [finding for rule in _RULES for finding in rule(diagnostics)]


def find_bunch(ages: Sequence[float]) -> tuple[float, int] | None:
    """The age, in seconds, that most connections had when they were lost, and how many; None: they differ."""
    best_age, best = 0.0, 0
    for age in ages:
        count = sum(age <= other <= 1.05 * age + 0.5 for other in ages)
        if count > best:
            best_age, best = age, count
    return (best_age, best) if best >= max(BUNCHED_LEAST, BUNCHED_SHARE * len(ages)) else None


def _readiness(node: Diagnostics) -> Iterator[Finding]:
    if not node["ready"] and not node["draining"]:
        yield critical(
            "not_ready",
            "cluster",
            f"node {node['node']} is not ready: {node['not_ready']}",
            "load balancers send it no clients",
            "the reason says what to mend; a node comes back by itself",
        )


def _link(node: Diagnostics) -> Iterator[Finding]:
    link = node["link"]
    if not link["live"]:
        yield critical(
            "deaf_link",
            "Redis",
            f"node {node['node']} receives no messages from Redis",
            "its clients hear nothing; they recover what they miss, as far as the history reaches",
            "see whether Redis answers, and whether the user of the node may still subscribe (ACL LOG)",
            connections_lost=link["connections_lost"],
            echoes_missed=link["echoes_missed"],
        )


def _heartbeats(node: Diagnostics) -> Iterator[Finding]:
    membership = node["membership"]
    missed, beats = membership["missed"], membership["beats"]
    if missed > MISSED_SHARE * (missed + beats):
        yield warning(
            "heartbeats_missed",
            "Redis",
            f"Redis has not confirmed {missed} of {missed + beats} heartbeats of node {node['node']}",
            "after 5 s without one the node loses its leases, and closes the sessions of agents (4004)",
            "look at the latency of Redis (SLOWLOG GET, its CPU) and at the network",
            missed=missed,
            confirmed=beats,
        )


def _services(node: Diagnostics) -> Iterator[Finding]:
    for name, service in node["services"].items():
        last = service["events"][-1] if service["events"] else {"reason": "it was never reached"}
        if not service["is_usable"]:
            yield critical(
                "service_down",
                "cluster",
                f"{name} at {service['address']} can't be used: {last['reason']}",
                "what rests on it is unavailable",
                "see whether it runs and lets the node in",
                checks=service["checks"],
                checks_failed=service["checks_failed"],
            )


def _event_loop(node: Diagnostics) -> Iterator[Finding]:
    lag = node["resources"]["loop_lag_worst_ms"]
    if lag > LAG_MS:
        yield warning(
            "blocked_loop",
            "resources",
            f"the event loop of node {node['node']} was late by {lag:g} ms in the last minute",
            "everything in the node waits as long: messages, pings, heartbeats",
            "find what blocks: a hook of the application, or the machine (steal, swap, a stopped process)",
            loop_lag_worst_ms=lag,
        )


def _load(node: Diagnostics) -> Iterator[Finding]:
    resources = node["resources"]
    cpu, memory, most = resources["cpu_percent"], resources["memory_mb"], resources["memory_max_mb"]
    if cpu is not None and cpu > CPU_PERCENT:
        yield warning(
            "busy",
            "resources",
            f"node {node['node']} uses {cpu:g} % of its core",
            "a node uses one core: messages come later and later",
            "add a node",
            cpu_percent=cpu,
        )
    if memory is not None and most and memory > MEMORY_SHARE * most:
        yield warning(
            "memory",
            "resources",
            f"node {node['node']} uses {memory:g} of {most:g} MB",
            "beyond that it refuses newcomers",
            "add a node, or raise TANNOY_MEMORY_MAX_MB; clients that read slowly take much (outbox.queued_bytes)",
            memory_mb=memory,
            memory_max_mb=most,
        )


def _files(node: Diagnostics) -> Iterator[Finding]:
    possible, wanted = node["sessions_possible"], node["sessions_max"]
    used = node["resources"]["files_percent"]
    if possible < wanted or (used is not None and used > FILES_PERCENT):
        yield warning(
            "open_files",
            "resources",
            f"node {node['node']} may open files for {possible} sessions, and TANNOY_NODE_MAX_SESSIONS is {wanted}",
            "newcomers beyond that get 503",
            "raise the hard limit of open files (ulimit -Hn, ulimits of the container, LimitNOFILE)",
            sessions_possible=possible,
            sessions_max=wanted,
            files_percent=used,
        )


def _tokens(node: Diagnostics) -> Iterator[Finding]:
    refused = {reason: count for reason, count in node["refused"].items() if reason.startswith("token_") and count}
    if sum(refused.values()) >= TOKENS_REFUSED:
        named = ", ".join(
            f"{count} {reason.removeprefix('token_').replace('_', ' ')}" for reason, count in refused.items()
        )
        yield warning(
            "tokens_refused",
            "tokens",
            f"node {node['node']} has refused tokens: {named}",
            "these clients can't connect, or have lost their session",
            "expired: give tokens a longer life, or let clients refresh them. Bad signature or unknown key: compare "
            "TANNOY_JWT_… with what signs. The log has each with its address",
            **refused,
        )


def _newcomers(node: Diagnostics) -> Iterator[Finding]:
    refused = {reason: node["refused"][reason] for reason in _NO_ROOM if node["refused"].get(reason)}
    if refused:
        yield warning(
            "newcomers_refused",
            "connections",
            f"node {node['node']} has refused newcomers for want of: {', '.join(refused)}",
            "they got 503, and come back later or elsewhere",
            "add a node, or raise what was too little",
            **refused,
        )
    if node["refused"].get("origin", 0) >= TOKENS_REFUSED:
        yield warning(
            "foreign_origin",
            "connections",
            f"node {node['node']} has refused {node['refused']['origin']} handshakes of pages from other origins",
            "browsers show these as a failed connection without a reason",
            "put the origin of your pages into TANNOY_ALLOWED_ORIGINS; the log names those that were refused",
            origin=node["refused"]["origin"],
        )


def _losses(node: Diagnostics) -> Iterator[Finding]:
    ages = node["loss_ages"]
    if (bunch := find_bunch(ages)) is not None:
        age, count = bunch
        yield warning(
            "idle_timeout",
            "connections",
            f"{count} of the last {len(ages)} lost connections were {age:.0f} s old",
            "a balancer or proxy on the way most likely cuts connections that are idle for so long",
            "raise its time-out for WebSockets (HAProxy: timeout tunnel; nginx: proxy_read_timeout), or set "
            "TANNOY_PING_INTERVAL below it",
            age_seconds=round(age, 1),
            lost=count,
        )


def _messages(node: Diagnostics) -> Iterator[Finding]:
    if resyncs := node["tracker"]["resyncs"]:
        yield warning(
            "messages_missed",
            "messages",
            f"clients of node {node['node']} were told {resyncs} times that messages may be missing",
            "the history did not reach back as far as an interruption",
            "raise TANNOY_HISTORY_SIZE or TANNOY_HISTORY_TTL; see why the link was lost",
            resyncs=resyncs,
            connections_lost=node["link"]["connections_lost"],
        )
    if overflowed := node["outbox"]["overflowed"]:
        yield warning(
            "slow_readers",
            "connections",
            f"the outbox of a session was full {overflowed} times on node {node['node']}",
            "these clients read more slowly than is said to them; they were closed (4002), or skipped messages",
            "say less, or raise TANNOY_OUTBOX_MAX_BYTES",
            overflowed=overflowed,
            dropped_bytes=node["outbox"]["dropped_bytes"],
        )


def _foreign_data(node: Diagnostics) -> Iterator[Finding]:
    if node["unreadable"]:
        yield warning(
            "foreign_data",
            "Redis",
            f"Redis holds values that no node has written: {', '.join(node['unreadable'])}",
            "another program writes to the keys of this cluster; what can't be read is skipped",
            "give it another database, or this cluster a TANNOY_REDIS_PREFIX of its own",
            **node["unreadable"],
        )


def _archive(node: Diagnostics) -> Iterator[Finding]:
    archive = node["archive"]
    if archive is not None and archive["lag"] > LAG_OF_ARCHIVE:
        yield warning(
            "archive_late",
            "messages",
            f"{archive['waiting']} messages wait for the archive, the oldest for {archive['lag']:.0f} s",
            "they are not in the database yet; beyond TANNOY_ARCHIVE_BACKLOG the oldest are lost to it",
            "start tannoy archive, and see whether its database takes writes",
            **archive,
        )


def _hooks(node: Diagnostics) -> Iterator[Finding]:
    for name, hook in node["hooks"].items():
        if troubles := {what: hook[what] for what in ("failed", "late", "lost") if hook[what]}:
            yield warning(
                "hook_fails",
                "connections",
                f"the hook {name} has failed or was late: {troubles}",
                "clients are refused where it decides",
                "the log has the errors of the application",
                **troubles,
            )


def _log(node: Diagnostics) -> Iterator[Finding]:
    if lost := node["log"]["lost_lines"]:
        yield warning(
            "log_lost",
            "resources",
            f"node {node['node']} has lost {lost} lines of its log",
            "what reads the log is too slow, or its disk is full",
            "see docs/operations.md, log files",
            lost_lines=lost,
        )


_RULES: tuple[Callable[[Diagnostics], Iterator[Finding]], ...] = (
    *(_readiness, _link, _heartbeats, _services, _event_loop, _load, _files, _tokens, _newcomers, _losses),
    *(_messages, _foreign_data, _archive, _hooks, _log),
)
