"""The HTTP API on a node is as /api/v1/openapi.json says: schemathesis asks for all that is allowed, and forbidden.

For more examples, or others, run `.venv/bin/st --config-file tests/support/schemathesis.toml run`, with the address of
that document and the options below.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.support.cluster import PROJECT, Cluster

EXAMPLES = 5
"""Random ones for each call, besides those at the bounds of each field: a thousand requests in all."""
KEY = "secret-7"


def _run_schemathesis(url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Always with the same examples. Its files go into the folder."""
    options = [
        *("--header", f"Authorization: Bearer {KEY}", "--max-examples", str(EXAMPLES), "--seed", "1"),
        *("--generation-database", "none", "--continue-on-failure", "--no-color"),
    ]
    return subprocess.run(
        [
            *(Path(sys.executable).with_name("st"), "--config-file", PROJECT / "tests/support/schemathesis.toml"),
            *("run", f"{url}/api/v1/openapi.json", *options),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_api_takes_what_it_describes_and_answers_as_it_describes(tmp_path: Path) -> None:
    async with Cluster(nodes=1, API_KEY=KEY) as cluster:
        (node,) = cluster.nodes
        paths = (await node.http.get("/api/v1/openapi.json")).json()["paths"]

        ended = await asyncio.to_thread(_run_schemathesis, node.url, tmp_path)

        assert ended.returncode == 0, ended.stdout + ended.stderr + node.log()
        assert f"Tested: {sum(map(len, paths.values())) - 1}" in ended.stdout  # all but `drain`
