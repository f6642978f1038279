"""nchan, nginx' module for pub/sub, with its storage in Redis: it has history, and neither presence nor recovery."""

import argparse
import os
from pathlib import Path

from .installed import find_nchan

_CONFIGURATION = """\
load_module {module};
daemon off;
worker_processes 1;
pid nginx-{port}.pid;
error_log stderr error;
worker_rlimit_nofile 65536;
events {{ worker_connections 32768; }}
http {{
  access_log off;
  nchan_shared_memory_size 512M;
  upstream store {{ nchan_redis_server {redis_url}; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/ws/([^/]+)$ {{
      nchan_pubsub websocket;
      nchan_channel_id $1;
      nchan_redis_pass store;
      nchan_message_buffer_length 100;
      nchan_message_timeout 300s;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


def main() -> None:
    """Become nginx, which listens on loopback. Its configuration goes into the working directory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--redis-url", required=True)
    options = parser.parse_args()
    nginx, module = find_nchan()
    file = Path(f"nginx-{options.port}.conf").absolute()
    file.write_text(_CONFIGURATION.format(module=module, port=options.port, redis_url=options.redis_url))
    os.execv(nginx, [nginx, "-p", str(file.parent), "-c", str(file), "-e", "stderr"])


if __name__ == "__main__":
    main()
