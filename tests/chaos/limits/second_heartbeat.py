"""Sends the heartbeats of a node that has died: `python -m tests.chaos.limits.second_heartbeat INCARNATION`.

Ends when Redis is gone, and after OUTLIVES_BY seconds at the latest.
"""

import os
import sys
import time
from typing import Any, cast
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError
from tannoy.fanout import lease_times, scripts
from tannoy.fanout.redis.connection import Word
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.keyspace import Keyspace

OUTLIVES_BY = 25.0
"""Seconds for which heartbeats go on without their node, at most."""
BEAT = 1.0
"""Seconds between two heartbeats."""


def beat(incarnation: str) -> None:
    url = urlsplit(os.environ["TANNOY_REDIS_URL"])
    redis = Redis(host=url.hostname or "127.0.0.1", port=url.port or 6379)
    keyspace = Keyspace(os.environ.get("TANNOY_REDIS_PREFIX", "tannoy"))
    until = time.monotonic() + OUTLIVES_BY
    try:
        while time.monotonic() < until:
            pipeline: Any = cast("Any", redis).pipeline(transaction=False)
            for part in range(PARTITIONS):
                words: tuple[Word, ...] = (incarnation, lease_times.DEFAULT_TIMES.lease_ms)
                pipeline.eval(scripts.HEARTBEAT.source, 2, keyspace.heartbeats(part), keyspace.server(part), *words)
            pipeline.execute()
            time.sleep(BEAT)
    except RedisError:
        return


if __name__ == "__main__":
    beat(sys.argv[1])
