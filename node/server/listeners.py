"""Listening sockets of a node, which may share a port with other processes."""

import socket

from ...shared.errors import StartError

BACKLOG = 4096
"""Connections that may wait to be accepted."""
SEND_BUFFER_BYTES = 131_072
"""SO_SNDBUF of each connection; the kernel doubles it for its own use. By itself it would take some megabytes from a
node for a peer that does not read, before the first byte counts against `OUTBOX_MAX_BYTES`."""
UNREAD_TIMEOUT_MS = 60_000
"""TCP_USER_TIMEOUT: the kernel ends a connection whose peer has acknowledged, or read, nothing for so long."""


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Bind a TCP socket and listen. Raises StartError.

    `shared`: other processes may bind the same port (SO_REUSEPORT). Such a socket is bound only; uvicorn listens on it
    once the node is ready, or the kernel would assign connections to it before.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # What is accepted inherits these two.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_MS)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        if not shared:
            listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StartError(
            f"can't listen on {host}:{port}: {reason}. Choose another with --port or TANNOY_PORT"
        ) from error
    return listener
