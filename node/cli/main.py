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

from ...client.api_client import ApiClient, ClientError, api_path, check_target, is_published, read_content, url_of
from ...client.subscription import StartFrom, Subscription
from ...shared.errors import BadRequest, StartError
from ...shared.settings import Settings, load_settings
from ..lifecycle.logs import configure_logs
from ..server.supervisor import Supervisor
from ..server.uvicorn_server import run_node
from .output import print_frames

NODES_MAX = 64

app = typer.Typer(
    name="tannoy",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="A WebSocket broadcast cluster: any number of nodes, Redis or Valkey between them.\n\n"
    "Try it: [bold]tannoy up[/bold], then open the address it prints in two tabs.\n\n"
    "All settings come from the environment, prefix TANNOY_, or a .env file.",
)

Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Listen here. [TANNOY_PORT, 8000]", show_default=False)
]
Host = Annotated[str | None, typer.Option(help="Listen on this address. [TANNOY_HOST, 127.0.0.1]", show_default=False)]
Key = Annotated[
    str | None,
    typer.Option(help="Idempotency key: what was said under it before is not said again.", show_default=False),
]
Url = Annotated[
    str | None, typer.Option(help="A node or balancer. [http://TANNOY_HOST:TANNOY_PORT]", show_default=False)
]


@app.command()
def up(
    nodes: Annotated[int, typer.Option(min=1, max=NODES_MAX, help="How many node processes.")] = 3,
    port: Port = None,
    host: Host = None,
) -> None:
    """Run a whole cluster on this machine: nodes that share one port, and a Valkey between them.

    Node i also listens on port + i, to speak to it alone. An embedded Valkey is started unless TANNOY_REDIS_URL is
    set. A node that dies is started again. Ctrl-C ends everything.

    Examples:

      tannoy up

      tannoy up --nodes 5 --port 9000

      TANNOY_REDIS_URL=redis://127.0.0.1:6379 tannoy up
    """
    settings = _settings(port=port, host=host)
    if settings.port + nodes > 65535:
        _fail(f"--port {settings.port} leaves no room for {nodes} nodes: node i also listens on port + i")
    console = Console(highlight=False)
    _exit_with(lambda: asyncio.run(Supervisor(settings, nodes, console).run()))


@app.command()
def node(
    port: Port = None,
    host: Host = None,
    node_id: Annotated[str | None, typer.Option(help="Its name. [TANNOY_NODE_ID]", show_default=False)] = None,
    shared_port: Annotated[int | None, typer.Option(min=1, max=65535, hidden=True)] = None,
    while_stdin_is_open: Annotated[bool, typer.Option("--while-stdin-is-open", hidden=True)] = False,
) -> None:
    """Run one node in the foreground, for production: one per core, behind a load balancer.

    It is ready when GET /health/ready answers 200. SIGTERM sends every client away with a goodbye and exits with 0.

    Examples:

      TANNOY_REDIS_URL=redis://redis:6379 tannoy node --host 0.0.0.0 --port 8000

      TANNOY_LOG_FORMAT=json tannoy node
    """
    settings = _settings(port=port, host=host, node_id=node_id)
    try:
        configure_logs(settings)
    except StartError as error:
        _fail(str(error))
    if while_stdin_is_open:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    _exit_with(lambda: run_node(settings, shared_port=shared_port))


@app.command()
def publish(
    target: Annotated[str, typer.Argument(help="room:NAME or agent:ID")],
    content: Annotated[
        str, typer.Argument(help="JSON; any other text is sent as a string; - reads it from standard input")
    ],
    key: Key = None,
    text: Annotated[bool, typer.Option("--text", help="Send the content as a string even if it is JSON.")] = False,
    username: Annotated[str | None, typer.Option(help="Who speaks.")] = None,
    url: Url = None,
) -> None:
    """Say something to a room, or to all sessions of an agent, and print where it stands in the history, as JSON.

    What the cluster does not confirm (Redis is away, or the node ended) is repeated for some seconds under one key, so
    that it is published once, however often it is sent. Without --key, each call has a key of its own.

    Examples:

      tannoy publish room:lobby '{"hi": 1}'

      tannoy publish room:lobby "Lunch is ready" --username kitchen

      tannoy publish room:orders '{"paid": 4711}' --key order-4711-paid
    """
    _checked(target, "room", "agent")
    _say(target, _content(content, text), {"key": key, "username": username}, url)


@app.command()
def send(
    target: Annotated[str, typer.Argument(help="agent:ID, agent:ID/SESSION or user:ID")],
    content: Annotated[
        str, typer.Argument(help="JSON; any other text is sent as a string; - reads it from standard input")
    ],
    key: Key = None,
    text: Annotated[bool, typer.Option("--text", help="Send the content as a string even if it is JSON.")] = False,
    username: Annotated[str | None, typer.Option(help="Who speaks.")] = None,
    url: Url = None,
) -> None:
    """Send something to sessions: all of an agent, a single one, or all of a user.

    To all of an agent it is published: kept in the history, repeated until confirmed, with its position as the answer,
    as `tannoy publish` does it. Single sessions and users get it if they are connected now, and --key is not for them.

    Examples:

      tannoy send agent:42 '{"step": "done"}'

      tannoy send agent:42/laptop "only for this tab"

      tannoy send user:ada "hello"
    """
    _checked(target, "agent", "session", "user")
    if key is not None and not is_published(target):
        _fail(f"--key is for room:NAME and agent:ID: what is sent to {target} is not kept")
    _say(target, _content(content, text), {"key": key, "username": username}, url)


@app.command(name="watch")
def watch_command(
    target: Annotated[str, typer.Argument(help="room:NAME or agent:ID")],
    history: Annotated[
        int, typer.Option(min=0, metavar="N", help="Begin with the last N messages, as far as they are kept.")
    ] = 0,
    since: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="OFFSET", help="Begin with all that was said after this offset.", show_default=False
        ),
    ] = None,
    no_reconnect: Annotated[
        bool, typer.Option("--no-reconnect", help="End with status 1 when the connection is lost.")
    ] = False,
    raw: Annotated[bool, typer.Option("--json", help="Print every frame as a line of JSON.")] = False,
    url: Url = None,
) -> None:
    """Print what is said in a room or to an agent, until Ctrl-C: each message once, in order.

    After a lost connection it comes back by itself and catches up. Where messages may be missing all the same, since
    they are not kept any more, a line on standard error names their offsets.

    Examples:

      tannoy watch room:lobby

      tannoy watch room:lobby --history 20

      tannoy watch room:orders --since 4711 --json

      tannoy watch agent:42 --json | jq 'select(.type == "message").content'
    """
    _checked(target, "room", "agent")
    if history and since is not None:
        _fail("--history and --since both say where to begin: give one of them")
    try:
        it = Subscription(_url(url, _settings()), target, StartFrom(since, history), comes_back=not no_reconnect)
        asyncio.run(print_frames(it, raw=raw))
    except ClientError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(0)


def _say(target: str, content: object, optional: dict[str, str | None], url: str | None) -> None:
    settings = _settings()
    body = {"content": content} | {name: value for name, value in optional.items() if value is not None}
    try:
        talk = ApiClient(_url(url, settings), settings.api_key.get_secret_value())
        if is_published(target):
            typer.echo(json.dumps(talk.publish(api_path(target), body, _warn)))
            return
        sessions: int = talk.post(api_path(target), body)["sessions"]
    except ClientError as error:
        _fail(str(error))
    typer.echo(f"delivered to {sessions} session{'' if sessions == 1 else 's'}")
    if sessions == 0:
        sys.exit(1)


def _checked(target: str, *kinds: str) -> str:
    try:
        return check_target(target, kinds)
    except ValueError as error:
        _fail(str(error))


def _content(given: str, is_text: bool) -> object:
    """`-` means standard input."""
    try:
        return read_content(sys.stdin.read() if given == "-" else given, is_text=is_text)
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
    """Options of the command itself; what it is for stands at its head."""


def _url(given: str | None, settings: Settings) -> str:
    return given or url_of(settings.host, settings.port)


def _settings(**overrides: Any) -> Settings:
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


def _end_with_stdin() -> None:
    """The supervisor that holds the other end is gone: so are we."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
