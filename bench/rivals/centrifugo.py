"""Centrifugo with its Redis engine, with what Tannoy does too: history, recovery, presence, join and leave events."""

import argparse
import json
import os
from pathlib import Path

from .installed import find_centrifugo


def configure(port: int, redis_url: str) -> dict[str, object]:
    """Its settings: history is kept as by Tannoy. Anybody may connect, subscribe and publish."""
    namespace = {
        "presence": True,
        "join_leave": True,
        "force_push_join_leave": True,
        "history_size": 100,
        "history_ttl": "300s",
        "force_recovery": True,
        "allow_subscribe_for_client": True,
        "allow_subscribe_for_anonymous": True,
        "allow_publish_for_subscriber": True,
        "allow_publish_for_anonymous": True,
    }
    return {
        "http_server": {"address": "127.0.0.1", "port": str(port)},
        "client": {"allowed_origins": ["*"], "insecure": True},
        "channel": {"without_namespace": namespace},
        "engine": {"type": "redis", "redis": {"address": redis_url}},
        "log": {"level": "error"},
    }


def main() -> None:
    """Become the server, which listens on loopback. Its configuration goes into the working directory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--redis-url", required=True)
    options = parser.parse_args()
    file = Path(f"centrifugo-{options.port}.json")
    file.write_text(json.dumps(configure(options.port, options.redis_url)))
    binary = find_centrifugo()
    os.execv(binary, [binary, "--config", str(file)])


if __name__ == "__main__":
    main()
