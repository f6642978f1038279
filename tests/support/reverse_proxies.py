"""Real proxies in front of nodes, as Debian packages them: nginx and HAProxy. Each serves on loopback."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support import processes
from tests.support.ports import free_port
from tests.support.waiting import eventually

PROJECT = Path(__file__).parent.parent.parent
_NGINX = """
daemon off;
master_process off;
error_log stderr warn;
pid {folder}/pid;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream nodes {{ {servers} }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://nodes;
      {lines}
    }}
  }}
}}
"""
NGINX_PASSES_UPGRADES = (
    "proxy_http_version 1.1;",
    "proxy_set_header Upgrade $http_upgrade;",
    "proxy_set_header Connection upgrade;",
)
NGINX_NAMES_CLIENTS = ("proxy_set_header Host $host;", "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;")
_HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel {tunnel}
frontend public
  bind 127.0.0.1:{port}
  option forwardfor
  default_backend nodes
backend nodes
{servers}
"""


@asynccontextmanager
async def nginx(ports: Sequence[int], *lines: str) -> AsyncGenerator[int]:
    """In front of the nodes on these ports; `lines` stand in its location. Gives its port."""
    with tempfile.TemporaryDirectory(prefix="tannoy-nginx-") as folder:
        port, file = free_port(), Path(folder) / "nginx.conf"
        servers = " ".join(f"server 127.0.0.1:{each};" for each in ports)
        file.write_text(_NGINX.format(folder=folder, port=port, servers=servers, lines="\n      ".join(lines)))
        async with _running(_binary("nginx"), ("-e", "stderr", "-p", folder, "-c", str(file)), port):
            yield port


@asynccontextmanager
async def haproxy(ports: Sequence[int], *, tunnel: str = "1h") -> AsyncGenerator[int]:
    """In front of the nodes on these ports, as `deploy/haproxy.cfg` has it. Gives its port.

    `tunnel`: for how long a WebSocket may be idle.
    """
    with tempfile.TemporaryDirectory(prefix="tannoy-haproxy-") as folder:
        port, file = free_port(), Path(folder) / "haproxy.cfg"
        servers = "\n".join(f"  server node-{each} 127.0.0.1:{each}" for each in ports)
        file.write_text(_HAPROXY.format(port=port, servers=servers, tunnel=tunnel))
        async with _running(_binary("haproxy"), ("-db", "-f", str(file)), port):
            yield port


@asynccontextmanager
async def deployed_haproxy(ports: Sequence[int]) -> AsyncGenerator[tuple[int, int]]:
    """In front of the nodes on these ports, with `deploy/haproxy.cfg` itself. Gives its public and its private port."""
    config = (PROJECT / "deploy" / "haproxy.cfg").read_text()
    public, private = free_port(), free_port()
    servers = "\n".join(f"  server node-{each} 127.0.0.1:{each}" for each in ports)
    config = re.sub(r"^  server-template .*$", servers, config, flags=re.MULTILINE)
    config = config.replace("bind :8000", f"bind 127.0.0.1:{public}").replace("bind :8001", f"bind 127.0.0.1:{private}")
    with tempfile.TemporaryDirectory(prefix="tannoy-haproxy-") as folder:
        file = Path(folder) / "haproxy.cfg"
        file.write_text(config.replace("maxconn 100000", "maxconn 1000"))
        async with _running(_binary("haproxy"), ("-db", "-f", str(file)), private, is_ready=lambda code: code == 200):
            yield public, private


@asynccontextmanager
async def deployed_nginx(ports: Sequence[int]) -> AsyncGenerator[tuple[int, int]]:
    """In front of the nodes on these ports, with `deploy/nginx.conf` itself. Gives its public and its private port."""
    config = (PROJECT / "deploy" / "nginx.conf").read_text()
    public, private = free_port(), free_port()
    found = re.search(r"(^    server node-1:8000(.*)\n)(^    server node-.*\n)+", config, re.MULTILINE)
    assert found is not None
    servers = "".join(f"    server 127.0.0.1:{each}{found[2]}\n" for each in ports)
    config = config.replace(found[0], servers)
    config = config.replace("listen 8000;", f"listen 127.0.0.1:{public};")
    config = config.replace("listen 127.0.0.1:8001;", f"listen 127.0.0.1:{private};")
    config = re.sub(r"^worker_.*$|worker_connections 30000;", "", config, flags=re.MULTILINE)
    with tempfile.TemporaryDirectory(prefix="tannoy-nginx-") as folder:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        here = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        before = f"daemon off;\nmaster_process off;\nerror_log stderr crit;\npid {folder}/pid;\n"
        file = Path(folder) / "nginx.conf"
        file.write_text(before + config.replace("http {\n", "http {\n" + here))
        arguments = ("-e", "stderr", "-p", folder, "-c", str(file))
        async with _running(_binary("nginx"), arguments, private, is_ready=lambda code: code == 200):
            yield public, private


def _binary(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(f"no `{name}` here: this test needs Debian's package of that name")
    return found


@asynccontextmanager
async def _running(
    binary: str, arguments: Sequence[str], port: int, *, is_ready: Callable[[int], bool] = lambda code: True
) -> AsyncGenerator[None]:
    process = processes.start([binary, *arguments], output=subprocess.DEVNULL)
    try:
        async with httpx.AsyncClient() as http:

            async def answers() -> bool:
                assert process.poll() is None, f"{binary} has ended: its messages are on stderr"
                try:
                    return is_ready((await http.get(f"http://127.0.0.1:{port}/health/live")).status_code)
                except httpx.TransportError:
                    return False

            await eventually(answers, what=f"{binary} serves")
        yield
    finally:
        processes.end_group(process)
