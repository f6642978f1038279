"""The command line: `tannoy COMMAND`."""

import io
import sys
from typing import Annotated

import typer

from .archive_command import archive
from .bench_command import bench
from .check_commands import check, doctor
from .message_commands import publish, send, watch
from .operator_commands import drain, history, kick, limit, nodes, rooms, who
from .run_commands import node, up
from .stream_command import stream
from .token_command import token

app = typer.Typer(
    name="tannoy",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="A WebSocket broadcast cluster: any number of nodes, Redis or Valkey between them.\n\n"
    "Try it: run [bold]tannoy up[/bold], then open the address it prints in two browser tabs.\n\n"
    "Settings come from environment variables with the prefix TANNOY_, or from a .env file.",
)
_COMMANDS = (
    *(up, node, archive, publish, send, watch, stream, token),
    *(nodes, rooms, who, history, limit, kick, drain, check, doctor, bench),
)
for command in _COMMANDS:
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tannoy {version('tannoy')}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the command itself. Its help text is that of `app`."""


def main() -> None:
    """Run the command of this process."""
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")  # an output that is not UTF-8 lacks most characters
    app()


if __name__ == "__main__":
    main()
