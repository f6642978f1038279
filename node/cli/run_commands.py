"""The commands that run nodes: `tannoy up` and `tannoy node`.

Each imports what it runs when it is called: importing a node takes half a second, which no other command needs.
"""

import os
import signal
import sys
import threading
from typing import Annotated

import typer

from ...shared.errors import StartError
from .exits import exit_with, fail, load_settings_or_fail

NODES_MAX = 64
"""Node processes that `tannoy up` starts at most."""

Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Port to listen on.", show_default="TANNOY_PORT, 8000")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="TANNOY_HOST, 127.0.0.1")]


def up(
    nodes: Annotated[int, typer.Option(min=1, max=NODES_MAX, help="Number of node processes.")] = 3,
    port: Port = None,
    host: Host = None,
) -> None:
    """Run a whole cluster on this machine: nodes that share one port, connected by a Valkey.

    Node i also listens on port + i, so that a client can choose it. An embedded Valkey is started unless
    TANNOY_REDIS_URL is set. A node that fails is started again; one that was drained is not. Ctrl-C stops all
    processes.

    Examples:

      tannoy up

      tannoy up --nodes 5 --port 9000

      TANNOY_REDIS_URL=redis://127.0.0.1:6379 tannoy up
    """
    import asyncio
    from contextlib import closing

    from ...shared.variables import read_variables
    from ..lifecycle.files import raise_file_limit
    from ..server.supervisor import Supervisor
    from ..server.terminal_output import TerminalOutput
    from ..setting_warnings import find_file_warnings, find_warnings

    settings = load_settings_or_fail(port=port, host=host)
    if settings.port + nodes > 65535:
        fail(f"--port {settings.port} leaves no room for {nodes} nodes: node i also listens on port + i")
    raise_file_limit()  # the nodes inherit it
    warnings = [*find_warnings(settings, read_variables(os.environ)), *find_file_warnings(settings)]

    def run() -> int:
        with closing(TerminalOutput(sys.stdout)) as output:
            return asyncio.run(Supervisor(settings, nodes, output, warnings).run())

    exit_with(run)


def node(
    port: Port = None,
    host: Host = None,
    node_id: Annotated[
        str | None, typer.Option(help="Name of the node.", show_default="TANNOY_NODE_ID, host name and a random part")
    ] = None,
    shared_port: Annotated[int | None, typer.Option(min=1, max=65535, hidden=True)] = None,
    while_stdin_is_open: Annotated[bool, typer.Option("--while-stdin-is-open", hidden=True)] = False,
) -> None:
    """Run one node in the foreground, for production: one per core, behind a load balancer.

    It is ready when GET /health/ready answers 200. On SIGTERM it closes every connection with code 4001, then exits
    with status 0.

    Examples:

      TANNOY_REDIS_URL=redis://redis:6379 tannoy node --host 0.0.0.0 --port 8000

      TANNOY_LOG_FORMAT=json tannoy node
    """
    from ...shared.variables import read_variables
    from ..app import log_warnings
    from ..lifecycle.files import raise_file_limit
    from ..lifecycle.logs import configure_logs
    from ..server.uvicorn_server import run_node

    settings = load_settings_or_fail(port=port, host=host, node_id=node_id)
    try:
        configure_logs(settings)
    except StartError as error:
        fail(str(error))
    raise_file_limit()
    if while_stdin_is_open:  # the supervisor has printed the warnings, once for all its nodes
        threading.Thread(target=stop_with_stdin, daemon=True).start()
    else:
        log_warnings(settings, read_variables(os.environ))
    exit_with(lambda: run_node(settings, shared_port=shared_port))


def stop_with_stdin() -> None:
    """Stop this process when the supervisor, which holds the other end of the pipe, has ended."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)
