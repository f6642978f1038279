"""A real Prometheus, as Debian packages it, that scrapes the nodes of a test, and its tool `promtool`."""

import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import processes
from tests.support.ports import free_port
from tests.support.waiting import eventually

_CONFIG = """
global: {{ scrape_interval: 500ms, scrape_timeout: 500ms }}
scrape_configs:
  - job_name: tannoy
    static_configs: [{{ targets: [{targets}] }}]
"""


def binary(name: str) -> str:
    """The path of `prometheus` or `promtool`."""
    if (found := shutil.which(name)) is None:
        pytest.skip(f"no `{name}` here: this test needs Debian's package `prometheus`")
    return found


def promtool(*arguments: str | Path, given: bytes = b"") -> str:
    """What it says; it has to succeed."""
    done = subprocess.run([binary("promtool"), *map(str, arguments)], input=given, capture_output=True, timeout=60)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


class Prometheus:
    """One that runs."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def query(self, expression: str) -> list[Any]:
        """The samples that the expression gives now."""
        answer = (await self._http.get("/api/v1/query", params={"query": expression})).json()
        assert answer["status"] == "success", answer
        samples: list[Any] = answer["data"]["result"]
        return samples


@asynccontextmanager
async def prometheus(ports: Sequence[int]) -> AsyncGenerator[Prometheus]:
    """It scrapes the nodes on these ports twice a second."""
    with tempfile.TemporaryDirectory(prefix="tannoy-prometheus-") as folder:
        config, port = Path(folder) / "prometheus.yaml", free_port()
        config.write_text(_CONFIG.format(targets=", ".join(f'"127.0.0.1:{each}"' for each in ports)))
        options = (f"--config.file={config}", f"--storage.tsdb.path={folder}/data")
        listening = (f"--web.listen-address=127.0.0.1:{port}", "--log.level=error")
        process = processes.start([binary("prometheus"), *options, *listening])
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

                async def is_ready() -> bool:
                    assert process.poll() is None, "prometheus has ended: its messages are on stderr"
                    try:
                        return (await http.get("/-/ready")).status_code == 200
                    except httpx.TransportError:
                        return False

                await eventually(is_ready, what="prometheus is ready")
                yield Prometheus(http)
        finally:
            processes.end_group(process)
