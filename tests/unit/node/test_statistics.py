"""The statistics of a node, as `/diagnostics` has them."""

import orjson
from tannoy.node.node import Node
from tannoy.shared.settings import load_settings

from tests.support.clock import on_manual_time

OF_THE_NODE = [
    *("node", "pid", "version", "ready", "hub", "relay", "wheel", "connections", "other_connections"),
    *("handshakes", "joins", "outbox", "streams", "publishing", "pages", "http_answers", "resources", "refused"),
    *("hooks", "keys", "log"),
    *(
        "services",
        "archive",
        "draining",
        "not_ready",
        "now",
        "sessions_max",
        "sessions_possible",
        "ended",
        "loss_ages",
        "rules",
        "webhooks",
    ),
]
OF_THE_BUS = [
    *("link", "subscriptions", "pipeline", "reading", "tracker", "counted", "control", "membership", "leases"),
    *("presence", "disconnects", "revocations", "repair", "unreadable", "cluster"),
]


@on_manual_time
async def test_diagnostics_have_the_parts_of_the_bus_beside_those_of_the_node() -> None:
    encoded = orjson.loads(orjson.dumps(Node(load_settings()).statistics().as_object()))
    assert list(encoded) == OF_THE_NODE + OF_THE_BUS
    assert encoded["hub"] == {"sessions": 0, "users": 0, "channels": 0, "rooms": 0}
    assert encoded["relay"] == {"messages": 0, "deliveries": 0, "outdated": 0, "backlog_bytes": 0, "link_paused": False}
    assert encoded["wheel"] == {"waiting": 0}
    assert encoded["outbox"] == {"slow": 0, "queued_bytes": 0, "overflowed": 0, "dropped_bytes": 0}
