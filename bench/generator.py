"""The load generator's process: a job comes in on stdin, its result goes out on stdout, both JSON."""

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any, cast

import uvloop

from .errors import BenchError
from .proc import raise_file_limit
from .servers import ROOT


def ask(job: str, timeout: float, **arguments: Any) -> Any:
    """Have a new generator process do a job, and return its result."""
    command = [sys.executable, "-m", "bench.generator"]
    request = json.dumps({"job": job, "arguments": arguments})
    try:
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=timeout, cwd=ROOT)
    except subprocess.TimeoutExpired:
        raise BenchError(f"the load generator was not done within {timeout:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"the load generator ended with status {done.returncode}"]
        raise BenchError(lines[-1])
    return json.loads(done.stdout)


def _first_cause(error: BaseException) -> BaseException:
    if isinstance(error, BaseExceptionGroup):
        return _first_cause(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return error


def main() -> int:
    """Do one job."""
    from . import fanout, handshake, idle, stalled

    jobs: dict[str, Callable[..., Coroutine[Any, Any, Any]]]
    jobs = {"fanout": fanout.load, "idle": idle.load, "handshake": handshake.load, "stalled": stalled.load}
    raise_file_limit()
    gc.disable()  # a run is short, and a collection here would show as a latency there
    request = json.load(sys.stdin)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(jobs[request["job"]](**request["arguments"]))
    except (BenchError, OSError, BaseExceptionGroup) as error:
        cause = _first_cause(error)
        sys.stderr.write(f"{cause or type(cause).__name__}\n")
        return 1
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
