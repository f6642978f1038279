"""What operators' commands print: the answer of the HTTP API as a table, or as it is with `--json`."""

import json
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from .output import make_printable

PIPE_WIDTH = 200
"""Columns of an output that is no terminal."""


def print_json(answer: object) -> None:
    """Print an answer as JSON, indented, in ASCII: any output has its characters, and none controls a terminal."""
    print(json.dumps(answer, indent=2))  # noqa: T201


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows in columns; numbers stand on the right. `empty` is said where there are none."""
    lines = [tuple(row) for row in rows]
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    if not lines:
        console.print(Text(empty))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        is_number = all(isinstance(line[number], int | float) for line in lines)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(_shown(value)) for value in line))
    console.print(table)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return make_printable(text).replace("\n", " ")


class ProgressBar:
    """On standard error, where that is a terminal; elsewhere nothing is shown."""

    def __init__(self, *, is_shown: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(console=console, transient=True, disable=not (is_shown and console.is_terminal))
        self._task: TaskID | None = None
        self._what = ""

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, what: str, done: int, of: int) -> None:
        """So much is done of it; another `what` begins another bar."""
        if self._task is None or what != self._what:
            self._task, self._what = self._progress.add_task(what, total=of), what
        self._progress.update(self._task, completed=done)
