"""`tannoy archive` beside the nodes of `tannoy up`: started with them, and started again whenever it ends."""

import asyncio
import sys
from collections.abc import Callable, Mapping

from ...shared.waiting import wait_up_to

RESTART_DELAY = 1.0
"""Seconds between its end and its next start."""
STOP_TIMEOUT = 15.0
"""Seconds in which it has to end: it finishes its batch."""


class SupervisedArchive:
    """Run `run` once; it ends with `stop`. `print_line` gets each line of the process' standard error."""

    def __init__(self, environment: Mapping[str, str], stop: asyncio.Event, print_line: Callable[[str], None]) -> None:
        self._environment = environment
        self._stop = stop
        self._print_line = print_line

    async def run(self) -> None:
        while not self._stop.is_set():
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tannoy", "archive", "--while-stdin-is-open"),
                stdin=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
            )
            ending = asyncio.create_task(self._forward_output(process))
            stopping = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait((ending, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                await self._end(process, ending)
            if not self._stop.is_set():
                self._print_line(f"exited with code {process.returncode}; restarting it")
                await wait_up_to(RESTART_DELAY, self._stop)

    async def _end(self, process: asyncio.subprocess.Process, ending: "asyncio.Task[None]") -> None:
        if process.returncode is None and not ending.done():
            process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        ending.cancel()

    async def _forward_output(self, process: asyncio.subprocess.Process) -> None:
        """In pieces, since a line of any length has to be read, or the process would block on a full pipe."""
        assert process.stderr is not None
        rest = b""
        while piece := await process.stderr.read(65_536):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._print_line(line.decode(errors="replace").rstrip())
            rest = rest[-65_536:]
