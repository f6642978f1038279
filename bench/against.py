"""Tannoy beside Centrifugo and nchan, which did the same work in one run; the tables of small rooms and of storms."""

from collections.abc import Sequence

from .results import Results
from .tables import Table, middle, plain

RIVALS = ("centrifugo", "nchan")
MISSING = "not installed"


def no_figure(errors: Sequence[str]) -> str:
    """What stands in a table in place of a figure."""
    return MISSING if any(MISSING in error for error in errors) else "**no figure**, see errors"


def against_table(results: Results) -> Table:
    """One line for each quantity that was measured of Tannoy."""
    lines: list[tuple[str, ...]] = []
    speeds = {(row.system, row.under_way): middle(row.per_cpu_second) / 1000 for row in results.fanout()}
    for under_way in (1, 8):
        of_two = {system: speeds.get((f"{system}-2", under_way), 0.0) for system in ("tannoy", *RIVALS)}
        lines += _line(f"thousand deliveries per CPU-second, two nodes, W={under_way} (more is better)", of_two)
    rooms = {row.system.removesuffix("-2"): row for row in results.small_rooms()}
    lines += _line("message in a room of two: nodes, µs", {name: middle(row.node_us) for name, row in rooms.items()})
    lines += _line("… Redis, µs", {name: middle(row.store_us) for name, row in rooms.items()})
    lives = {row.system: row for row in results.handshake()}
    lines += _line("life of a session in a room: node, µs", {name: middle(row.node_us) for name, row in lives.items()})
    lines += _line("… Redis, µs", {name: middle(row.store_us) for name, row in lives.items()})
    lines += _line("idle session in a room, kB", {row.system: row.rss / 1000 for row in results.idle()})
    storms = {row.system.removesuffix("-3"): row for row in results.storm()}
    lines += _line(
        "sessions of a killed node are back, s", {name: middle(row.back_seconds) for name, row in storms.items()}
    )
    lines += _line("bystanders' p99 meanwhile, ms", {name: middle(row.storm_p99_ms) for name, row in storms.items()})
    return Table(("quantity", "Tannoy", "Centrifugo", "nchan", "to Centrifugo", "to nchan"), lines)


def _line(what: str, figures: dict[str, float]) -> list[tuple[str, ...]]:
    """The figures, and the ratio to each rival; empty if Tannoy has none."""
    ours = figures.get("tannoy", 0.0)
    if not ours:
        return []
    rivals = [figures.get(rival, 0.0) for rival in RIVALS]
    shown = [f"{figure:,.1f}" if figure else "-" for figure in rivals]
    ratios = [f"{ours / figure:.2f} x" if figure else "-" for figure in rivals]
    return [(what, f"{ours:,.1f}", *shown, *ratios)]


def small_rooms_table(results: Results) -> Table:
    """CPU per message."""
    lines = [
        (
            row.title,
            plain(row.node_us) if row.node_us else no_figure(row.errors),
            plain(row.store_us),
            plain(row.per_second, 0),
        )
        for row in results.small_rooms()
    ]
    return Table(("server", "nodes, µs a message", "Valkey, µs a message", "messages per second"), lines)


def storm_table(results: Results) -> Table:
    """How long the return takes, what it costs, and what others notice."""
    lines = [
        (
            row.title,
            f"{row.sessions:,}",
            plain(row.back_seconds) if row.back_seconds else no_figure(row.errors),
            plain(row.node_cpu),
            plain(row.store_cpu),
            plain([float(count) for count in row.refused], 0),
            plain(row.calm_p99_ms),
            plain(row.storm_p99_ms),
        )
        for row in results.storm()
    ]
    columns = ("server", "sessions", "all back, s", "CPU of the nodes, s", "of Valkey, s", "refusals",
               "p99 of bystanders before, ms", "meanwhile, ms")  # fmt: skip
    return Table(columns, lines)


def errors(results: Results) -> list[str]:
    """The error of each round that gave no figure."""
    return [f"{row.title}: {error}" for row in (*results.small_rooms(), *results.storm()) for error in row.errors]
