"""The commands that send and receive messages: `tannoy publish`, `send` and `watch`.

Each imports the client and the settings when it is called: `--help` needs neither. `watch` is a session. `publish` and
`send` are requests of the HTTP API: a session is a user's, needs a token, speaks in a room only while it is listed
there, and can't reach a single session of an agent; a request needs the API key alone.
"""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...client.errors import ClientError
from ...client.targets import build_url, check_target, has_history, publish_path
from ...shared.errors import BadRequest
from .exits import fail, load_settings_or_fail, warn

if TYPE_CHECKING:
    from ...shared.settings import Settings

Content = Annotated[str, typer.Argument(help="JSON, or a text that is sent as a string; - reads standard input")]
Text = Annotated[bool, typer.Option("--text", help="Send the content as a string, even if it is valid JSON.")]
Username = Annotated[str | None, typer.Option(help="Username of the author.")]
Key = Annotated[
    str | None,
    typer.Option(help="Idempotency key: a message with the same key is published once.", show_default=False),
]
Url = Annotated[
    str | None,
    typer.Option(help="Address of a node or load balancer.", show_default="http://TANNOY_HOST:TANNOY_PORT"),
]


def publish(
    target: Annotated[str, typer.Argument(help="room:NAME or agent:ID")],
    content: Content,
    key: Key = None,
    text: Text = False,
    username: Username = None,
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
    check_target_or_fail(target, "room", "agent")
    _send_message(target, _read_content(content, text), {"key": key, "username": username}, url)


def send(
    target: Annotated[str, typer.Argument(help="agent:ID, agent:ID/SESSION or user:ID")],
    content: Content,
    key: Key = None,
    text: Text = False,
    username: Username = None,
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
    check_target_or_fail(target, "agent", "session", "user")
    if key is not None and not has_history(target):
        fail(f"--key is for room:NAME and agent:ID: a message to {target} is not kept")
    _send_message(target, _read_content(content, text), {"key": key, "username": username}, url)


def watch(
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
    import asyncio

    from ...client.subscription import StartFrom, Subscription
    from .output import print_frames

    check_target_or_fail(target, "room", "agent")
    if history and since is not None:
        fail("--history and --since both say where to start: give one of them")
    try:
        start = StartFrom(since, history)
        subscription = Subscription(
            cluster_url(url, load_settings_or_fail()), target, start, reconnects=not no_reconnect
        )
        asyncio.run(print_frames(subscription, raw=raw))
    except ClientError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(0)


def _send_message(target: str, content: object, optional: dict[str, str | None], url: str | None) -> None:
    """Publish or send, print the result, and exit with status 1 if no session received it."""
    from ...client.api_client import ApiClient

    settings = load_settings_or_fail()
    body = {"content": content} | {name: value for name, value in optional.items() if value is not None}
    _check_text(body)
    try:
        client = ApiClient(cluster_url(url, settings), settings.api_key.get_secret_value())
        if has_history(target):
            typer.echo(json.dumps(client.publish(publish_path(target), body, warn)))
            return
        sessions: int = client.post(publish_path(target), body)["sessions"]
    except ClientError as error:
        fail(str(error))
    typer.echo(f"delivered to {sessions} session{'' if sessions == 1 else 's'}")
    if sessions == 0:
        sys.exit(1)


def _check_text(body: dict[str, Any]) -> None:
    """Refuse what no node can represent: an argument that is not UTF-8, or half a surrogate pair in JSON."""
    for name, value in body.items():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            lacking = error.object[error.start : error.end]
            fail(f"{name} contains {lacking!r}, which is no character: it has to be valid UTF-8")


def check_target_or_fail(target: str, *kinds: str) -> None:
    """End the command with a sentence if the target is of none of these kinds (`client/targets.py`)."""
    try:
        check_target(target, kinds)
    except ValueError as error:
        fail(str(error))


def _read_content(given: str, is_text: bool) -> object:
    """`-` means standard input."""
    from ...client.api_client import parse_content

    try:
        return parse_content(sys.stdin.buffer.read().decode() if given == "-" else given, is_text=is_text)
    except UnicodeDecodeError as error:
        fail(f"standard input, at byte {error.start}, is not UTF-8")
    except BadRequest as error:
        fail(error.message)


def cluster_url(given: str | None, settings: "Settings") -> str:
    """The address of the cluster that a command talks to."""
    return given or build_url(settings.host, settings.port)
