"""`tannoy bench`: a load test of a cluster from outside, as its clients see it."""

from typing import TYPE_CHECKING, Annotated

import typer

from ...client.errors import ClientError
from .exits import fail

if TYPE_CHECKING:
    from ...client.load_test import LoadReport


def bench(
    url: Annotated[str, typer.Argument(help="ws://HOST:PORT or wss://HOST:PORT of a node or load balancer")],
    sessions: Annotated[int, typer.Option(min=1, max=50_000, help="Sessions to open.")] = 100,
    rooms: Annotated[
        int, typer.Option(min=0, max=50_000, help="Rooms to spread them over.", show_default="one for 50 sessions")
    ] = 0,
    rate: Annotated[float, typer.Option(min=0.1, max=10_000, help="Messages a second, in all rooms together.")] = 10,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="For which messages are sent.")] = 10,
    connect_rate: Annotated[float, typer.Option(min=1, max=10_000, help="Handshakes a second.")] = 100,
    token: Annotated[str | None, typer.Option(help="Token of all sessions.", envvar="TANNOY_BENCH_TOKEN")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Open sessions, let them speak in rooms, and tell how many got in, what arrived, and how late.

    All sessions come from this machine: a node admits 20 handshakes a second of an address (TANNOY_RATE_CONNECTS), and
    refused ones come back when they are told to. Exits with status 1 if a session was refused or lost, or a message
    did not arrive exactly once.

    Examples:

      tannoy bench ws://127.0.0.1:8000 --sessions 1000

      tannoy bench wss://chat.example.com --sessions 5000 --rate 100 --seconds 60 --json
    """
    import asyncio

    from ...client.load_test import LoadPlan, LoadTest
    from ..lifecycle.files import raise_file_limit
    from .tables import ProgressBar, print_json

    raise_file_limit()
    plan = LoadPlan(url, sessions, rooms or max(1, sessions // 50), rate, seconds, connect_rate, token)
    try:
        with ProgressBar(is_shown=not as_json) as bar:
            report = asyncio.run(LoadTest(plan, bar.update).run())
    except ClientError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if as_json:
        print_json(report.as_object())
    else:
        _print_report(report, sessions)
    raise typer.Exit(0 if report.is_good else 1)


def _print_report(report: "LoadReport", wanted: int) -> None:
    from ...client.load_test import describe_times
    from .tables import print_table

    typer.echo(f"{report.connected} of {wanted} sessions connected, {report.retried} handshakes were tried again")
    for reason, count in (report.refused + report.closed).items():
        typer.secho(f"{count} refused or closed: {reason}", fg="red")
    typer.echo(
        f"{report.sent} messages, {report.received} of {report.expected} deliveries "
        f"({100 * report.success_rate:.3f} %), {report.repeated} repeated"
    )
    times = {"connect": describe_times(report.connects), "delivery": describe_times(report.latencies)}
    heads = ("ms", "p50", "p95", "p99", "max")
    print_table(
        heads, ((name, *found.values()) for name, found in times.items() if found), empty="nothing was measured"
    )
