"""The command line: `tannoy up`, `node`, `publish`, `send`, `watch`."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from ...client.api_client import ApiClient, parse_content
from ...client.errors import ClientError
from ...client.subscription import StartFrom, Subscription
from ...client.targets import build_url, check_target, has_history, publish_path
from ...shared.errors import BadRequest, StartError
from ...shared.settings import Settings, load_settings
from ..lifecycle.logs import configure_logs
from ..server.supervisor import Supervisor
from ..server.uvicorn_server import run_node
from .output import print_frames

NODES_MAX = 64
"""Node processes that `tannoy up` starts at most."""

app = typer.Typer(
    name="tannoy",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="A WebSocket broadcast cluster: any number of nodes, Redis or Valkey between them.\n\n"
    "Try it: run [bold]tannoy up[/bold], then open the address it prints in two browser tabs.\n\n"
    "Settings come from environment variables with the prefix TANNOY_, or from a .env file.",
)

Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Port to listen on. [TANNOY_PORT, 8000]", show_default=False)
]
Host = Annotated[str | None, typer.Option(help="Address to listen on. [TANNOY_HOST, 127.0.0.1]", show_default=False)]
Key = Annotated[
    str | None,
    typer.Option(help="Idempotency key: a message with the same key is published once.", show_default=False),
]
Url = Annotated[
    str | None,
    typer.Option(help="Address of a node or load balancer. [http://TANNOY_HOST:TANNOY_PORT]", show_default=False),
]


@app.command()
def up(
    nodes: Annotated[int, typer.Option(min=1, max=NODES_MAX, help="Number of node processes.")] = 3,
    port: Port = None,
    host: Host = None,
) -> None:
    """Run a whole cluster on this machine: nodes that share one port, connected by a Valkey.

    Node i also listens on port + i, so that a client can choose it. An embedded Valkey is started unless
    TANNOY_REDIS_URL is set. A node that exits is started again. Ctrl-C stops all processes.

    Examples:

      tannoy up

      tannoy up --nodes 5 --port 9000

      TANNOY_REDIS_URL=redis://127.0.0.1:6379 tannoy up
    """
    settings = _load_settings(port=port, host=host)
    if settings.port + nodes > 65535:
        _fail(f"--port {settings.port} leaves no room for {nodes} nodes: node i also listens on port + i")
    console = Console(highlight=False)
    _exit_with(lambda: asyncio.run(Supervisor(settings, nodes, console).run()))


@app.command()
def node(
    port: Port = None,
    host: Host = None,
    node_id: Annotated[str | None, typer.Option(help="Name of the node. [TANNOY_NODE_ID]", show_default=False)] = None,
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
    settings = _load_settings(port=port, host=host, node_id=node_id)
    try:
        configure_logs(settings)
    except StartError as error:
        _fail(str(error))
    if while_stdin_is_open:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    _exit_with(lambda: run_node(settings, shared_port=shared_port))


@app.command()
def publish(
    target: Annotated[str, typer.Argument(help="room:NAME or agent:ID")],
    content: Annotated[str, typer.Argument(help="JSON, or a text that is sent as a string; - reads standard input")],
    key: Key = None,
    text: Annotated[
        bool, typer.Option("--text", help="Send the content as a string, even if it is valid JSON.")
    ] = False,
    username: Annotated[str | None, typer.Option(help="Username of the author.")] = None,
    url: Url = None,
) -> None:
    """Publish a message to a room or to all sessions of an agent, and print its position in the history as JSON.

    A message that the cluster does not confirm, since Redis is not reachable or the node stops, is sent again for some
    seconds under the same idempotency key, so that it is published once. Without --key, each call uses a new key.

    Examples:

      tannoy publish room:lobby '{"hi": 1}'

      tannoy publish room:lobby "Lunch is ready" --username kitchen

      tannoy publish room:orders '{"paid": 4711}' --key order-4711-paid
    """
    _check_target(target, "room", "agent")
    _send_message(target, _read_content(content, text), {"key": key, "username": username}, url)


@app.command()
def send(
    target: Annotated[str, typer.Argument(help="agent:ID, agent:ID/SESSION or user:ID")],
    content: Annotated[str, typer.Argument(help="JSON, or a text that is sent as a string; - reads standard input")],
    key: Key = None,
    text: Annotated[
        bool, typer.Option("--text", help="Send the content as a string, even if it is valid JSON.")
    ] = False,
    username: Annotated[str | None, typer.Option(help="Username of the author.")] = None,
    url: Url = None,
) -> None:
    """Send a message to sessions: all of an agent, a single one, or all of a user.

    A message to all sessions of an agent is published as `tannoy publish` does it: kept in the history, sent again
    until confirmed, its position printed. Single sessions and users receive it only if they are connected now; --key
    can't be used for them.

    Examples:

      tannoy send agent:42 '{"step": "done"}'

      tannoy send agent:42/laptop "only for this tab"

      tannoy send user:ada "hello"
    """
    _check_target(target, "agent", "session", "user")
    if key is not None and not has_history(target):
        _fail(f"--key is for room:NAME and agent:ID: a message to {target} is not kept")
    _send_message(target, _read_content(content, text), {"key": key, "username": username}, url)


@app.command(name="watch")
def watch_command(
    target: Annotated[str, typer.Argument(help="room:NAME or agent:ID")],
    history: Annotated[
        int, typer.Option(min=0, metavar="N", help="Start with the last N messages, as far as they are kept.")
    ] = 0,
    since: Annotated[
        int | None,
        typer.Option(min=0, metavar="OFFSET", help="Start with the messages after this offset.", show_default=False),
    ] = None,
    no_reconnect: Annotated[
        bool, typer.Option("--no-reconnect", help="Exit with status 1 when the connection is lost.")
    ] = False,
    raw: Annotated[bool, typer.Option("--json", help="Print each frame as a line of JSON.")] = False,
    url: Url = None,
) -> None:
    """Print the messages of a room or an agent until Ctrl-C: each message once, in order.

    After a lost connection it reconnects and reads the missed messages. If messages may be missing, since they are no
    longer kept, a line on standard error names their offsets.

    Examples:

      tannoy watch room:lobby

      tannoy watch room:lobby --history 20

      tannoy watch room:orders --since 4711 --json

      tannoy watch agent:42 --json | jq 'select(.type == "message").content'
    """
    _check_target(target, "room", "agent")
    if history and since is not None:
        _fail("--history and --since both say where to start: give one of them")
    try:
        start = StartFrom(since, history)
        subscription = Subscription(_cluster_url(url, _load_settings()), target, start, reconnects=not no_reconnect)
        asyncio.run(print_frames(subscription, raw=raw))
    except ClientError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(0)


def _send_message(target: str, content: object, optional: dict[str, str | None], url: str | None) -> None:
    """Publish or send, print the result, and exit with status 1 if no session received it."""
    settings = _load_settings()
    body = {"content": content} | {name: value for name, value in optional.items() if value is not None}
    try:
        client = ApiClient(_cluster_url(url, settings), settings.api_key.get_secret_value())
        if has_history(target):
            typer.echo(json.dumps(client.publish(publish_path(target), body, _warn)))
            return
        sessions: int = client.post(publish_path(target), body)["sessions"]
    except ClientError as error:
        _fail(str(error))
    typer.echo(f"delivered to {sessions} session{'' if sessions == 1 else 's'}")
    if sessions == 0:
        sys.exit(1)


def _check_target(target: str, *kinds: str) -> str:
    try:
        return check_target(target, kinds)
    except ValueError as error:
        _fail(str(error))


def _read_content(given: str, is_text: bool) -> object:
    """`-` means standard input."""
    try:
        return parse_content(sys.stdin.read() if given == "-" else given, is_text=is_text)
    except BadRequest as error:
        _fail(error.message)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tannoy {version('tannoy')}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the command itself. Its help text is that of `app`."""


def _cluster_url(given: str | None, settings: Settings) -> str:
    return given or build_url(settings.host, settings.port)


def _load_settings(**overrides: Any) -> Settings:
    try:
        return load_settings(**overrides)
    except StartError as error:
        _fail(str(error))


def _exit_with(run: Callable[[], int]) -> None:
    try:
        sys.exit(run())
    except StartError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    _warn(message)
    sys.exit(1)


def _warn(message: str) -> None:
    for line in message.splitlines():
        typer.secho(f"tannoy: {line}", err=True, fg="red")


def _stop_with_stdin() -> None:
    """Stop this process when the supervisor, which holds the other end of the pipe, has ended."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
