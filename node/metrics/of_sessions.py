"""Metrics of sessions: how many there are, how they ended, and who was refused."""

from .family import Family, Kind, counter, gauge

FAMILIES = (
    gauge("tannoy_sessions", "Sessions of this node.", lambda node: node.hub.sessions),
    gauge("tannoy_users", "Users with a session on this node.", lambda node: node.hub.users),
    Family(
        Kind.GAUGE,
        "tannoy_channels",
        "Rooms and agents with a session on this node.",
        ("kind",),
        lambda node: ((("room",), node.hub.rooms), (("agent",), node.hub.channels - node.hub.rooms)),
    ),
    gauge(
        "tannoy_http_connections", "Open connections that are no sessions.", lambda node: node.other_connections.open
    ),
    Family(
        Kind.COUNTER,
        "tannoy_sessions_ended",
        "Sessions that have ended, by who ended them and with which close code.",
        ("by", "code"),
        lambda node: (((each.by.value, each.code), each.count) for each in node.ended),
    ),
    Family(
        Kind.COUNTER,
        "tannoy_sessions_closed_by_rule",
        "Sessions that were refused or closed, by the rule that decided.",
        ("rule",),
        lambda node: (((rule,), count) for rule, count in node.rules.items()),
    ),
    Family(
        Kind.COUNTER,
        "tannoy_refused",
        "Handshakes and unreadable requests that were refused, by reason.",
        ("reason",),
        lambda node: (((reason,), count) for reason, count in node.refused.items()),
    ),
    counter(
        "tannoy_commands",
        "Commands that clients have sent over their connections.",
        lambda node: node.connections.frames_received,
    ),
    counter(
        "tannoy_commands_refused", "Commands that were answered with an error.", lambda node: node.connections.refused
    ),
    counter(
        "tannoy_commands_rate_limited",
        "Commands and ping frames that were refused for a rate.",
        lambda node: node.connections.rate_limited,
    ),
    gauge("tannoy_handshakes_waiting", "Handshakes that wait for their turn.", lambda node: node.handshakes.waiting),
    gauge("tannoy_joins_waiting", "Joins that wait for their turn.", lambda node: node.joins.waiting),
    gauge(
        "tannoy_leases",
        "Leases under the limits of agents and users that this node holds or acquires.",
        lambda node: node.bus.leases.known,
    ),
    counter("tannoy_leases_acquired", "Leases that were acquired.", lambda node: node.bus.leases.acquired),
    counter(
        "tannoy_leases_refused",
        "Sessions that were refused because a limit was reached.",
        lambda node: node.bus.leases.refused,
    ),
    counter(
        "tannoy_evictions",
        "Sessions that were closed because a newer one got their lease.",
        lambda node: node.bus.leases.evict_orders,
    ),
    counter(
        "tannoy_leases_lost",
        "Leases that were lost: the heartbeat expired, or Redis did not have them any more.",
        lambda node: node.bus.leases.lost,
    ),
)
