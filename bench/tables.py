"""A table that can be shown on a terminal and written as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import rich.table
from rich.markup import escape


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text. All columns but the first are right-aligned."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        """As a Markdown table."""
        rule = ["---"] + ["--:"] * (len(self.columns) - 1)
        lines = [self.columns, tuple(rule), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def terminal(self, title: str) -> rich.table.Table:
        """As a table for the terminal."""
        table = rich.table.Table(title=title, title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*(escape(cell.replace("**", "").replace("`", "")) for cell in row))
        return table


def middle(figures: Sequence[float]) -> float:
    """The median; 0 if there are no figures."""
    return median(figures) if figures else 0.0


def thousands(figures: Sequence[float]) -> str:
    """Format median and range in thousands."""
    if not figures:
        return "-"
    text = f"{middle(figures) / 1000:,.0f} k"
    return text if len(figures) == 1 else f"{text} ({min(figures) / 1000:,.0f} to {max(figures) / 1000:,.0f})"


def plain(figures: Sequence[float], digits: int = 1) -> str:
    """Format median and range."""
    if not figures:
        return "-"
    text = f"{middle(figures):,.{digits}f}"
    return text if len(figures) == 1 else f"{text} ({min(figures):,.{digits}f} to {max(figures):,.{digits}f})"


def times(figure: float, base: float) -> str:
    """Format a ratio."""
    return f"{figure / base:.1f} x" if figure and base else "-"
