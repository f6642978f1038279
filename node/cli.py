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
from rich.text import Text

from ..shared.errors import BadRequest, StartError
from ..shared.settings import Settings, load_settings
from .logs import configure_logs
from .server import run_node
from .supervisor import Supervisor
from .talk import Talk, TalkError, api_path, check_target, read_content, url_of, watch

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
    key: Annotated[str | None, typer.Option(help="Idempotency key: twice the same is published once.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Send the content as a string even if it is JSON.")] = False,
    username: Annotated[str | None, typer.Option(help="Who speaks.")] = None,
    url: Url = None,
) -> None:
    """Say something to a room, or to all sessions of an agent.

    Examples:

      tannoy publish room:lobby '{"hi": 1}'

      tannoy publish room:lobby "Lunch is ready" --username kitchen
    """
    optional = {"key": key, "username": username}
    _checked(target, "room", "agent")
    _post(target, _content(content, text), {k: v for k, v in optional.items() if v is not None}, url)


@app.command()
def send(
    target: Annotated[str, typer.Argument(help="agent:ID, agent:ID/SESSION or user:ID")],
    content: Annotated[
        str, typer.Argument(help="JSON; any other text is sent as a string; - reads it from standard input")
    ],
    text: Annotated[bool, typer.Option("--text", help="Send the content as a string even if it is JSON.")] = False,
    username: Annotated[str | None, typer.Option(help="Who speaks.")] = None,
    url: Url = None,
) -> None:
    """Send something to sessions: all of an agent, a single one, or all of a user.

    Examples:

      tannoy send agent:42 '{"step": "done"}'

      tannoy send agent:42/laptop "only for this tab"

      tannoy send user:ada "hello"
    """
    _checked(target, "agent", "session", "user")
    _post(target, _content(content, text), {} if username is None else {"username": username}, url)


@app.command(name="watch")
def watch_command(
    target: Annotated[str, typer.Argument(help="room:NAME or agent:ID")],
    raw: Annotated[bool, typer.Option("--json", help="Print every frame as a line of JSON.")] = False,
    url: Url = None,
) -> None:
    """Print what is said in a room or to an agent, until Ctrl-C. Comes back by itself after a lost connection.

    Examples:

      tannoy watch room:lobby

      tannoy watch agent:42 --json | jq .content
    """
    _checked(target, "room", "agent")
    try:
        asyncio.run(_print_frames(_url(url, _settings()), target, raw))
    except TalkError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(0)


async def _print_frames(url: str, target: str, raw: bool) -> None:
    console, errors = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    async for frame in watch(url, target):
        if frame["type"] == "lost":
            errors.print(Text(f"connection lost ({frame['reason']}), coming back"))
        elif raw:
            console.out(json.dumps(frame, ensure_ascii=False), highlight=False)
        elif frame["type"] == "welcome":
            errors.print(Text(f"watching {target} on {frame['node']}"))
        else:
            console.print(_line(frame))


def _line(frame: dict[str, Any]) -> Text:
    if frame["type"] != "message":
        return Text(json.dumps(frame, ensure_ascii=False), style="dim")
    content = frame["content"]
    said = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    who = frame["username"] or frame["user_id"] or "–"
    return Text.assemble((frame["timestamp"][11:19], "dim"), " ", (f"{who}:", "cyan"), " ", _printable(said))


def _printable(text: str) -> str:
    """What others say must not drive this terminal: no control sequences."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def _post(target: str, content: object, fields: dict[str, str], url: str | None) -> None:
    settings = _settings()
    try:
        talk = Talk(_url(url, settings), settings.api_key.get_secret_value())
        result = talk.post(api_path(target), {"content": content} | fields)
    except TalkError as error:
        _fail(str(error))
    sessions = result.get("sessions")
    typer.echo("published" if sessions is None else f"delivered to {sessions} session{'' if sessions == 1 else 's'}")
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
    for line in message.splitlines():
        typer.secho(f"tannoy: {line}", err=True, fg="red")
    sys.exit(1)


def _end_with_stdin() -> None:
    """The supervisor that holds the other end is gone: so are we."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
