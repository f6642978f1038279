"""The command that keeps the archive: `tannoy archive`."""

import json
import re
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ...shared.errors import StartError, Unavailable
from ...shared.extras import ARCHIVE_PACKAGES, require_extra
from .exits import exit_with, fail, load_settings_or_fail
from .run_commands import stop_with_stdin

if TYPE_CHECKING:
    from ...shared.settings import Settings

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_read_age = re.compile(r"(\d{1,6})([mhdw])").fullmatch


def archive(
    prune: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Delete what is older, and exit: 90d, 12h, 30m or 52w.", show_default=False),
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Print how far the archive is as JSON, and exit.")] = False,
    while_stdin_is_open: Annotated[bool, typer.Option("--while-stdin-is-open", hidden=True)] = False,
) -> None:
    """Write the messages of archived rooms and agents to the database, in the foreground, for production.

    TANNOY_ARCHIVE of the nodes says which rooms and agents that are, TANNOY_DATABASE_URL where the database is. Any
    number of these processes share the work; while none runs, the messages wait in Redis. SIGTERM ends it when what it
    has is written.

    Examples:

      TANNOY_DATABASE_URL=postgresql://tannoy:…@db/tannoy tannoy archive

      tannoy archive --prune 90d

      tannoy archive --status
    """
    if prune is not None and status:
        fail("--prune and --status each do one thing and exit: give one of them")
    settings = load_settings_or_fail()
    if prune is not None:
        age = parse_age(prune)
        exit_with(lambda: _prune(settings, age))
    if while_stdin_is_open:
        threading.Thread(target=stop_with_stdin, daemon=True).start()
    exit_with(lambda: _print_status(settings) if status else _write(settings))


def parse_age(text: str) -> int:
    """Seconds. Exits with status 1 where it is none."""
    found = _read_age(text)
    if found is None or int(found[1]) == 0:
        fail(f"--prune {text} is no age: a number and m, h, d or w are allowed, as in 90d")
    return int(found[1]) * _SECONDS[found[2]]


def _write(settings: "Settings") -> int:
    import asyncio

    require_extra("archive", ARCHIVE_PACKAGES, importer="tannoy archive")
    from ..lifecycle.logs import configure_logs
    from ..server.archive_process import ArchiveProcess

    configure_logs(settings)
    asyncio.run(ArchiveProcess(settings).run())
    return 0


def _prune(settings: "Settings", age: int) -> int:
    import asyncio
    import time

    require_extra("archive", ARCHIVE_PACKAGES, importer="tannoy archive")
    from ..server.archive_process import prune_archive

    try:
        pruned = asyncio.run(prune_archive(settings, time.time() - age))
    except Unavailable as error:
        raise StartError(f"the database: {error.message}") from error
    typer.echo(f"deleted {pruned} message{'' if pruned == 1 else 's'}")
    return 0


def _print_status(settings: "Settings") -> int:
    import asyncio

    require_extra("archive", ARCHIVE_PACKAGES, importer="tannoy archive")
    from ..server.archive_process import ArchiveProcess

    try:
        backlog = asyncio.run(ArchiveProcess(settings).read_backlog())
    except Unavailable as error:
        raise StartError(f"Redis: {error.message}") from error
    typer.echo(json.dumps(asdict(backlog)))
    return 0
