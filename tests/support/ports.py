"""Ports to listen on, for tests that run at the same time in several processes, and that kill and restart servers.

The kernel gives an outgoing connection any port of its ephemeral range, so a port of that range that a test has found
free, or that belongs to a server which is down for a moment, may be taken before the server listens on it. These ports
are outside that range, and no other test process uses them: each process locks blocks of ports, one file per block.
"""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

FIRST_PORT = 10_000
BLOCK = 100
"""Ports per lock."""
OF_EMBEDDED_VALKEYS = range(16_379, 16_479)
"""Where the embedded Valkey of `tannoy up` looks for a free port: it would take one that a test is about to use."""
_FOLDER = Path(tempfile.gettempdir()) / "tannoy-test-ports"
_locks: list[IO[bytes]] = []


def _end_of_ports() -> int:
    """The first ephemeral port, or 32768 where the system does not say."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32_768
    return first if first >= FIRST_PORT + 20 * BLOCK else 32_768


def _blocks() -> Iterator[range]:
    """Blocks that this process has locked, until it ends. Raises RuntimeError where all are taken."""
    _FOLDER.mkdir(exist_ok=True)
    blocks = [range(start, start + BLOCK) for start in range(FIRST_PORT, _end_of_ports() - BLOCK, BLOCK)]
    random.Random(os.getpid()).shuffle(blocks)
    for block in blocks:
        if block.start < OF_EMBEDDED_VALKEYS.stop and OF_EMBEDDED_VALKEYS.start < block.stop:
            continue
        lock = (_FOLDER / str(block.start)).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _locks.append(lock)
        yield block
    raise RuntimeError("other test processes hold all ports")


def _ports() -> Iterator[int]:
    for block in _blocks():
        yield from block


_next_port = _ports()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def free_port() -> int:
    """A port that no server listens on, and that no other caller of this function gets."""
    return next(port for port in _next_port if _is_free(port))


def free_ports_in_a_row(count: int) -> int:
    """The first of `count` ports in a row that no server listens on; at most BLOCK."""
    row: list[int] = []
    while len(row) < count:
        port = free_port()
        row = [*row, port] if row and row[-1] == port - 1 else [port]
    return row[0]
