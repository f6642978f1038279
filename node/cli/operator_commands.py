"""The commands of operators: what the HTTP API tells of a cluster, and what it does, as tables or as JSON.

Each imports the client when it is called: `--help` needs none.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer

from ...client.errors import ClientError
from ...client.targets import api_path, build_url
from ...shared.policy import LimitPolicy
from .exits import fail, load_settings_or_fail
from .message_commands import Url, check_target_or_fail

if TYPE_CHECKING:
    from ...client.api_client import ApiClient

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer of the HTTP API as JSON.")]


def nodes(as_json: AsJson = False, url: Url = None) -> None:
    """Show the live nodes: their sessions, their load, and whether they are ready.

    Examples:

      tannoy nodes

      tannoy nodes --json | jq '.nodes[] | select(.ready | not)'
    """
    from .tables import print_json, print_table

    answer = _call(url, lambda api: api.get("/api/v1/nodes"))
    if as_json:
        print_json(answer)
        return
    print_table(
        ("node", "sessions", "channels", "load", "ready", "draining", "version", "started"),
        (
            (
                *(node["node"], node["sessions"], node["channels"], node["load"], node["ready"], node["draining"]),
                *(node["version"], node["started_at"][:19]),
            )
            for node in answer["nodes"]
        ),
        empty="no node is alive",
    )


def rooms(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rooms at most.")] = 50,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show the rooms with somebody in them, the fullest first.

    Examples:

      tannoy rooms --limit 10
    """
    from .tables import print_json, print_table

    answer = _call(url, lambda api: api.get(f"/api/v1/rooms?limit={limit}"))
    if as_json:
        print_json(answer)
        return
    rows = ((room["room"], room["users_count"]) for room in answer["rooms"])
    print_table(("room", "users"), rows, empty="nobody is in any room")
    if (more := answer["total"] - len(answer["rooms"])) > 0:
        typer.echo(f"and {more} more", err=True)


def who(
    target: Annotated[str, typer.Argument(help="room:NAME, agent:ID or user:ID")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show who is in a room, or which sessions an agent or a user has, and why earlier ones ended.

    Examples:

      tannoy who room:lobby

      tannoy who agent:42

      tannoy who user:ada --json
    """
    from .tables import print_json, print_table

    check_target_or_fail(target, "room", "agent", "user")
    is_room = target.startswith("room:")
    path = api_path(target) + ("/presence" if is_room else "")
    answer = _call(url, lambda api: api.get(path))
    if as_json:
        print_json(answer)
    elif is_room:
        users = answer.get("users", ())
        rows = ((each["user_id"], each["username"], each["sessions"], each["connected_at"][:19]) for each in users)
        print_table(("user", "name", "sessions", "since"), rows, empty=f"{answer['users_count']} users")
        if (more := answer["users_count"] - len(users)) > 0 and users:
            typer.echo(f"and {more} more", err=True)
    else:
        _print_sessions(answer)


def _print_sessions(answer: dict[str, Any]) -> None:
    from .tables import print_table

    limit = answer["max_sessions"] or "no limit"
    typer.echo(f"{len(answer['sessions'])} sessions, limit {limit}, policy {answer['policy']}")
    rows = (
        (each["session_id"], each["user_id"], each["node"], each["connected_at"][:19]) for each in answer["sessions"]
    )
    print_table(("session", "user", "node", "since"), rows, empty="no session is connected")
    if answer["disconnects"]:
        typer.echo("\nrefused or closed lately:")
        ended = (
            (each["at"][:19], each["session_id"], each["code"], each["rule"], each["reason"], each["node"])
            for each in answer["disconnects"]
        )
        print_table(("at", "session", "code", "rule", "reason", "node"), ended, empty="")


def history(
    target: Annotated[str, typer.Argument(help="room:NAME or agent:ID")],
    limit: Annotated[int, typer.Option(min=1, max=300, help="Messages at most.")] = 20,
    before: Annotated[int | None, typer.Option(min=0, help="Before this offset.", show_default=False)] = None,
    since: Annotated[int | None, typer.Option(min=0, help="Behind this offset.", show_default=False)] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show the last messages of a room or an agent, as far as they are kept.

    Examples:

      tannoy history room:lobby

      tannoy history agent:42 --limit 100 --json
    """
    from .tables import print_json, print_table

    check_target_or_fail(target, "room", "agent")
    asked = {"limit": limit, "before": before, "since": since}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    answer = _call(url, lambda api: api.get(f"{api_path(target)}/messages?{query}"))
    if as_json:
        print_json(answer)
        return
    rows = (
        (each["offset"], each["timestamp"][:19], each["username"] or each["user_id"], each["content"])
        for each in answer["messages"]
    )
    print_table(("offset", "at", "from", "content"), rows, empty="no messages are kept")


def limit(
    target: Annotated[str, typer.Argument(help="agent:ID")],
    max_sessions: Annotated[int, typer.Argument(min=1, max=100_000, help="Sessions that it may have.")],
    policy: Annotated[LimitPolicy, typer.Option(help="What happens to who is too many.")] = LimitPolicy.REJECT,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Set how many sessions an agent may have, on all nodes, at once.

    Examples:

      tannoy limit agent:42 3 --policy evict_oldest
    """
    from .tables import print_json

    check_target_or_fail(target, "agent")
    body = {"max_sessions": max_sessions, "policy": policy.value}
    answer = _call(url, lambda api: api.put(f"{api_path(target)}/limit", body))
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{target} may have {max_sessions} sessions; {answer['closed']} were closed")


def kick(
    target: Annotated[str, typer.Argument(help="user:ID, agent:ID or agent:ID/SESSION")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Disconnect all sessions of a user or an agent, or a single one, on whichever node (4504).

    Exits with status 1 if there were none. A client may come back: POST /api/v1/revocations refuses it.

    Examples:

      tannoy kick user:ada

      tannoy kick agent:42/laptop
    """
    from .tables import print_json

    check_target_or_fail(target, "user", "agent", "session")
    path = api_path(target) + ("" if "/" in target else "/sessions")
    answer = _call(url, lambda api: api.delete(path))
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"disconnected {answer['sessions']} session{'' if answer['sessions'] == 1 else 's'}")
    if not answer["sessions"]:
        raise typer.Exit(1)


def drain(
    node: Annotated[str, typer.Argument(help="Name or incarnation of a node: tannoy nodes")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Let one node leave: its clients go to the others, then it ends. It returns when the node has begun.

    Examples:

      tannoy drain node-2
    """
    from .tables import print_json

    answer = _call(url, lambda api: api.post(f"/api/v1/nodes/{quote(node, safe='')}/drain", {}))
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{answer['node']} leaves")


def _call(url: str | None, call: "Callable[[ApiClient], dict[str, Any]]") -> dict[str, Any]:
    """The answer of the cluster, or the end of the command with its sentence and status 1."""
    from ...client.api_client import ApiClient

    settings = load_settings_or_fail()
    try:
        return call(ApiClient(url or build_url(settings.host, settings.port), settings.api_key.get_secret_value()))
    except ClientError as error:
        fail(str(error))
