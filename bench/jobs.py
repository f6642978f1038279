"""The jobs of the load generator, and the program that runs one: `python -m bench.jobs`."""

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any, cast

import uvloop

from . import fanout, handshake, idle, small_rooms, stalled, storm
from .errors import BenchError
from .proc import raise_file_limit

JOBS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "fanout": fanout.load,
    "idle": idle.load,
    "handshake": handshake.load,
    "stalled": stalled.load,
    "small_rooms": small_rooms.load,
    "storm": storm.load,
}


def _first_cause(error: BaseException) -> BaseException:
    if isinstance(error, BaseExceptionGroup):
        return _first_cause(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return error


def main() -> int:
    """Run the job on stdin; the exit code. A failure is a line on stderr."""
    raise_file_limit()
    gc.disable()  # a run is short, and a collection would show as latency of the server
    request = json.load(sys.stdin)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(JOBS[request["job"]](**request["arguments"]))
    except (BenchError, OSError, BaseExceptionGroup) as error:
        cause = _first_cause(error)
        sys.stderr.write(f"{cause or type(cause).__name__}\n")
        return 1
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
