"""How a command ends: with the exit code of its work, or with one sentence per problem on standard error and 1."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from ...shared.errors import StartError
from ...shared.extras import MissingExtra

if TYPE_CHECKING:
    from ...shared.settings import Settings


def load_settings_or_fail(**overrides: Any) -> "Settings":
    """Read the settings from the environment; `overrides` that are not None take precedence."""
    from ...shared.settings import load_settings

    try:
        return load_settings(**overrides)
    except StartError as error:
        fail(str(error))


def exit_with(run: Callable[[], int]) -> NoReturn:
    """Exit with the code that `run` returns, or with the sentence of its StartError or MissingExtra."""
    try:
        sys.exit(run())
    except (StartError, MissingExtra) as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """Print the message, and exit with status 1."""
    warn(message)
    sys.exit(1)


def warn(message: str, *, color: str = "red") -> None:
    """Print each line of the message on standard error."""
    for line in message.splitlines():
        typer.secho(f"tannoy: {line}", err=True, fg=color)
