"""Nodes on managed Redis, as far as a real server can emulate it: each does without what the service leaves out."""

import pytest

from tests.support.feature_tour import use_all_features
from tests.support.managed_redis import EMULATIONS
from tests.support.node import HASTY
from tests.support.redis_servers import SERVERS, two_nodes

NO_ROLE = "Redis does not tell its role"
NO_IDENTITY = "Redis tells no replication id to scripts"
NO_FLAGS = "Redis refuses the flag allow-oom of scripts"
NO_NO_EVICT = "Redis refused CLIENT NO-EVICT"

WARNED_OF: dict[str, tuple[str, ...]] = {
    "redis-cloud": (NO_ROLE, NO_IDENTITY),
    "upstash": (NO_ROLE, NO_IDENTITY),
    "memorystore": (NO_ROLE, NO_IDENTITY),
    "dragonfly": (NO_FLAGS,),
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("service", EMULATIONS)
async def test_nodes_serve_all_features_and_warn_once_of_what_is_left_out(service: str, server: str) -> None:
    async with EMULATIONS[service](server) as url, two_nodes(url, times=HASTY, PRESENCE_GRACE="0") as nodes:
        await use_all_features(nodes)
        log = nodes[0].log()
        assert [log.count(warning) for warning in WARNED_OF[service]] == [1] * len(WARNED_OF[service])
        assert NO_NO_EVICT in log
        assert "Traceback" not in log
        ready = (await nodes[0].http.get("/health/ready")).json()
        assert [warning.partition(":")[0] for warning in ready["warnings"]] == list(WARNED_OF[service])
