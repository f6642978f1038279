"""The load generator: runs a job in a process of its own. The request goes in on stdin, the result comes out on stdout.

Both are JSON. `jobs.py` is the program of that process.
"""

import json
import subprocess
import sys
from typing import Any

from .errors import BenchError
from .servers import ROOT


def run_job(job: str, timeout: float, **arguments: Any) -> Any:
    """Run a job of `jobs.JOBS` in a new process and return its result. `timeout` is in seconds. Raises BenchError."""
    command = [sys.executable, "-m", "bench.jobs"]
    request = json.dumps({"job": job, "arguments": arguments})
    try:
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=timeout, cwd=ROOT)
    except subprocess.TimeoutExpired:
        raise BenchError(f"the load generator did not finish within {timeout:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"the load generator exited with status {done.returncode}"]
        raise BenchError(lines[-1])
    return json.loads(done.stdout)
