"""The commands that look for what is wrong: `tannoy check` before a node starts, `tannoy doctor` while nodes run."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from ...client.errors import ClientError
from ...client.targets import build_url
from ...shared.errors import StartError
from .exits import exit_with, fail, load_settings_or_fail, warn
from .message_commands import Url

if TYPE_CHECKING:
    from ..doctor.finding import Finding

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def check() -> None:
    """Check what a node needs to start: the settings, keys of tokens, Redis with the rights there, the database.

    It starts nothing, and exits with status 1 if a node would not start.

    Examples:

      TANNOY_REDIS_URL=redis://redis:6379 tannoy check
    """
    import asyncio

    from ...shared.variables import read_variables
    from ..check import check_start
    from ..lifecycle.logs import silence_logs

    settings = load_settings_or_fail()
    silence_logs()

    def run() -> int:
        report = asyncio.run(check_start(settings, read_variables(os.environ)))
        for warning in report.warnings:
            warn(warning, color="yellow")
        typer.echo(
            f"A node can start: the settings are good, and Redis at {report.redis} lets it do all that it needs."
        )
        return 0

    exit_with(run)


def doctor(as_json: AsJson = False, url: Url = None) -> None:
    """Diagnose a running cluster: tokens, resources, connections, messages, clocks, Redis.

    It asks the node at --url, and, where TANNOY_REDIS_URL is set as for a node, Redis too. Ask each node at its own
    address: what it counts, it alone knows. Exits with status 1 on a critical finding.

    Examples:

      tannoy doctor

      TANNOY_API_KEY=… tannoy doctor --url http://node-1:8000 --json
    """
    from ...shared.variables import read_variables
    from ..doctor.doctor import diagnose
    from ..lifecycle.logs import silence_logs
    from .tables import print_json

    settings = load_settings_or_fail()
    silence_logs()
    try:
        diagnosis = diagnose(settings, read_variables(os.environ), url or build_url(settings.host, settings.port))
    except (ClientError, StartError) as error:
        fail(str(error))
    if as_json:
        print_json(diagnosis.as_object())
    else:
        for finding in diagnosis.findings:
            _print_finding(finding)
        typer.echo(f"Examined: {', '.join(diagnosis.examined) or 'nothing'}.")
        for skipped in diagnosis.skipped:
            typer.echo(f"Not examined: {skipped}.")
        if not diagnosis.findings:
            typer.secho("Nothing is wrong.", fg="green")
    raise typer.Exit(1 if diagnosis.is_critical else 0)


def _print_finding(finding: "Finding") -> None:
    from .output import make_printable

    is_critical = finding.severity.value == "critical"
    typer.secho(
        f"{finding.severity.value}: {finding.type} ({finding.part})", fg="red" if is_critical else "yellow", bold=True
    )
    for name, text in (("seen", finding.seen), ("means", finding.means), ("do", finding.do)):
        typer.echo(make_printable(f"  {name:6}{text}").replace("\n", " "))
    typer.echo("")
