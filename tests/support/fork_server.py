"""Node processes without the cost of their imports: a process that has imported the product forks one per request.

A test run starts some hundreds of nodes, and importing takes most of the CPU of each start. What is forked is a process
of its own like any other: its environment, arguments and output are those of the request, and it leads a group.
`start` is for the process that runs tests; `python -m tests.support.fork_server FD` is the server.
"""

import gc
import importlib
import json
import logging
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import IO

from tannoy.node.web import routes

PRELOADED = (
    "tests.support.node",
    "tests.chaos.mutant",
    "uvicorn.main",
    "tannoy.node.transports.asgi_websocket",
    "tannoy.node.cli.main",
    "tannoy.fanout.redis.server_url",
    "tannoy.fanout.redis.redis_py",
    "uvicorn.loops.uvloop",
    "uvicorn.lifespan.on",
    "hypercorn.__main__",
    "hypercorn.asyncio.run",
    "hypercorn.asyncio.lifespan",
    "hypercorn.protocol.http_stream",
    "hypercorn.protocol.ws_stream",
    "encodings.idna",
    "dotenv",
    "tannoy.embedding.application",
)
"""What a node needs to have imported. What is missing here is imported by each node for itself."""
_REQUEST_MAX = 1 << 17
"""Bytes of a request; its environment is most of it."""
_LOOK_AGAIN = 0.02


class ForkedProcess:
    """The part of subprocess.Popen that tests use. The exit code comes from the server, through a pipe."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            # Nothing but the end: the server has ended, and with it all knowledge of how the process did.
            self.returncode = int(os.read(self._status, 16) or b"-9")
            os.close(self._status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        give_up = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if give_up is not None and time.monotonic() > give_up:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(_LOOK_AGAIN)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class ForkServer:
    """The server of this process. It starts with the first request, and ends with this process or by `stop`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._lock = threading.Lock()  # a test may run commands in threads

    def start(
        self, command: Sequence[str], *, env: Mapping[str, str], output: IO[bytes], errors: IO[bytes] | None = None
    ) -> ForkedProcess:
        """`python -m COMMAND…` with this environment, in the folder for temporary files. `errors` goes to `output`."""
        request = json.dumps({"command": list(command), "env": dict(env)}).encode()
        assert len(request) <= _REQUEST_MAX
        ours, theirs = os.pipe()
        with self._lock:
            requests = self._requests or self._start_server()
            socket.send_fds(requests, [request], [output.fileno(), (errors or output).fileno(), theirs])
            pid = requests.recv(16)
        os.close(theirs)
        if not pid:
            raise RuntimeError("the server that forks nodes has ended; its traceback is on stderr")
        return ForkedProcess(int(pid), ours)

    def run(
        self, command: Sequence[str], *, env: Mapping[str, str], timeout: float
    ) -> "subprocess.CompletedProcess[str]":
        """The same, until it has ended. Raises subprocess.TimeoutExpired."""
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = self.start(command, env=env, output=output, errors=errors)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                raise
            return subprocess.CompletedProcess(command, code, _text(output), _text(errors))

    def stop(self) -> None:
        if self._requests is not None and self._process is not None:
            self._requests.close()
            self._process.wait()
        self._requests = self._process = None

    def _start_server(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
        self._requests = ours
        return ours


server = ForkServer()


def _text(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode()


# ---- the server


def _run(command: Sequence[str], env: Mapping[str, str], output: int, errors: int) -> None:
    """Become the process that was asked for. Never returns."""
    code = 1
    try:
        # SIGHUP and SIGQUIT are ignored by what a shell runs in the background, or under nohup.
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (output, 1), (errors, 2)):
            os.dup2(source, target)
        os.chdir(tempfile.gettempdir())
        os.environ.clear()
        os.environ.update(env)
        module, *arguments = command
        sys.argv = [module, *arguments]
        if not hasattr(sys.modules.get(module), "__path__"):  # of a package, its __main__ runs, which is not imported
            sys.modules.pop(module, None)  # imported already; as `python -m` has it, it runs once more, as __main__
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        logging.shutdown()  # what the interpreter does at its end
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(requests: socket.socket) -> None:
    """Fork for each request until the other end is closed."""
    for module in PRELOADED:
        importlib.import_module(module)
    routes.build_api()  # what the first one builds and imports, pydantic keeps: 0.16 s of CPU
    gc.collect()
    gc.freeze()  # so that the collector of a child does not copy the pages of what was imported
    statuses: dict[int, int] = {}
    wake, woken = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, _wake_up)
    while True:
        ready, _, _ = select.select([requests.fileno(), wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _report_ends(statuses)
        if requests.fileno() not in ready:
            continue
        request, received, _, _ = socket.recv_fds(requests, _REQUEST_MAX, 3)
        if not request:
            return
        output, errors, status = received
        asked = json.loads(request)
        if (pid := os.fork()) == 0:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            requests.close()
            for descriptor in (wake, woken, status, *statuses.values()):
                os.close(descriptor)
            _run(asked["command"], asked["env"], output, errors)
        _lead_group(pid)
        os.close(output)
        os.close(errors)
        statuses[pid] = status
        requests.send(str(pid).encode())


def _wake_up(number: int, frame: FrameType | None) -> None:
    """A signal without a handler in Python would not be written to the descriptor that wakes up."""


def _lead_group(pid: int) -> None:
    """Here too, so that it leads its group before anybody knows it."""
    try:
        os.setpgid(pid, pid)
    except ProcessLookupError:  # it has ended already
        pass


def _report_ends(statuses: dict[int, int]) -> None:
    """The exit code of each process that has ended, as subprocess.Popen gives it."""
    while statuses:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        os.write(statuses[pid], str(os.waitstatus_to_exitcode(status)).encode())
        os.close(statuses.pop(pid))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)
