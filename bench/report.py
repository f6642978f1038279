"""Tables and verdicts from the results; with `--write`, `README.md` and `figures.svg`."""

import string
from collections import Counter
from dataclasses import dataclass
from math import inf
from pathlib import Path

from . import fanout, storm_figure
from .against import against_table, no_figure, small_rooms_table, storm_table
from .against import errors as errors_against
from .figure import draw
from .results import Results
from .stalled import OUTBOX_MAX_BYTES
from .tables import Table, middle, plain, thousands, times

FOLDER = Path(__file__).parent
TEMPLATE = FOLDER / "README.in.md"


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal, and the figure that was measured."""

    text: str
    target: float
    unit: str
    figure: float  # 0: not measured
    at_least: bool = True
    flawed: bool = False  # some rounds failed

    def row(self) -> tuple[str, ...]:
        """As a row of the table of goals."""
        sign = "≥" if self.at_least else "≤"
        wanted = f"{sign} {self.target:g} {self.unit}"
        if not self.figure:
            return (self.text, wanted, "-", "not measured")
        met = self.figure >= self.target if self.at_least else self.figure <= self.target
        digits = 0 if self.target > 50 else 2 if self.target < 2 else 1
        return (
            self.text,
            wanted,
            f"{self.figure:,.{digits}f} {self.unit}",
            ("met" if met else "**missed**") + (", with errors" if self.flawed else ""),
        )


def _speed(rows: list[fanout.Row], system: str, under_way: int) -> float:
    return next((middle(row.per_cpu_second) for row in rows if (row.system, row.under_way) == (system, under_way)), 0.0)


def goals(results: Results) -> Table:
    """The goals and the measured figures."""
    speeds = results.fanout()

    def ratio(system: str, base: str, under_way: int) -> float:
        divisor = _speed(speeds, base, under_way)
        return _speed(speeds, system, under_way) / divisor if divisor else 0.0

    idle_kb = next((row.rss / 1000 for row in results.idle() if row.system == "tannoy"), 0.0)
    cost = {row.system: middle(row.node_us) for row in results.handshake()}
    harm = {row.case: inf if row.stuck else middle(row.p99_ratio) for row in results.stalled()}
    flawed = {row.system for row in speeds if row.errors}
    wanted = [
        Goal("one node against Starlette, W=1", 5, "x", ratio("tannoy", "naive", 1), flawed="tannoy" in flawed),
        Goal("one node against Starlette, W=8", 15, "x", ratio("tannoy", "naive", 8), flawed="tannoy" in flawed),
        Goal(
            "two nodes against python-socketio's two, W=1",
            7,
            "x",
            ratio("tannoy-2", "socketio-2", 1),
            flawed="tannoy-2" in flawed,
        ),
        Goal(
            "two nodes against python-socketio's two, W=8",
            20,
            "x",
            ratio("tannoy-2", "socketio-2", 8),
            flawed="tannoy-2" in flawed,
        ),
        Goal("p99 beside stalled sockets, `disconnect`", 1.2, "x", harm.get("disconnect", 0.0), at_least=False),
        Goal("p99 beside stalled sockets, `skip`", 1.2, "x", harm.get("skip", 0.0), at_least=False),
        Goal("memory of an idle session in a room", 6, "kB", idle_kb, at_least=False),
        Goal("CPU of a handshake, `/ws`", 150, "µs", cost.get("tannoy-ws", 0.0), at_least=False),
        Goal("CPU of a handshake, `/ws/chat/{room}`", 150, "µs", cost.get("tannoy", 0.0), at_least=False),
    ]
    return Table(("goal", "wanted", "figure", "verdict"), [goal.row() for goal in wanted])


def fanout_table(results: Results, under_way: int) -> Table:
    """Deliveries per CPU-second at one W."""
    rows = [row for row in results.fanout() if row.under_way == under_way]
    bases = {1: _speed(rows, "naive", under_way), 2: _speed(rows, "socketio-2", under_way)}
    lines = [
        (
            row.title,
            thousands(row.per_cpu_second) if row.per_cpu_second else no_figure(row.errors),
            times(middle(row.per_cpu_second), bases[1]),
            times(middle(row.per_cpu_second), bases[2]),
            thousands(row.per_second),
            plain(row.p50_ms),
            plain(row.p99_ms),
            f"{middle(row.kernel_share) * 100:.0f} %",
            f"{middle(row.store_share) * 100:.0f} %",
        )
        for row in rows
    ]
    columns = ("server", "deliveries per CPU-second", "to Starlette", "to python-socketio, 2 nodes",
               "deliveries per second", "p50 ms", "p99 ms", "CPU in the kernel", "CPU in Valkey")  # fmt: skip
    return Table(columns, lines)


def idle_table(results: Results) -> Table:
    """Memory per session."""
    lines = [
        (row.title, f"{row.sessions:,}", *(f"{size / 1000:.2f} kB" for size in (row.rss, row.pss, row.private)))
        if row.error is None
        else (row.title, f"{row.sessions:,}", no_figure([row.error]), "-", "-")
        for row in results.idle()
    ]
    return Table(("server", "sessions", "RSS per session", "PSS", "private"), lines)


def handshake_table(results: Results) -> Table:
    """CPU per handshake."""
    lines = [
        (
            row.title,
            f"{row.handshakes:,}",
            plain(row.node_us, 0) if row.node_us else no_figure(row.errors),
            plain(row.store_us, 0),
            plain(row.per_second, 0),
        )
        for row in results.handshake()
    ]
    return Table(("server", "handshakes", "node, µs each", "Valkey, µs each", "per second"), lines)


def stalled_table(results: Results) -> Table:
    """The latency of the reading sockets, and the outcome of the stalled ones."""
    lines: list[tuple[str, ...]] = []
    for row in results.stalled():
        if not row.messages:
            lines.append((row.title, no_figure(row.errors), "-", "-", "-", "-"))
            continue
        verdict = "; ".join(row.outcomes)
        if row.stuck:
            rounds, least = f"{row.stuck} of {len(row.messages)} rounds", min(row.messages)
            verdict = f"**no socket receives anything** after {least:,} messages ({rounds})"
        bound = f" of {row.stalled * OUTBOX_MAX_BYTES / 2**20:.0f}" if row.stalled and row.case != "naive" else ""
        growth = f"{max(row.growth_bytes) / 2**20:.1f}{bound} MiB"
        ratio = plain(row.p99_ratio, 2)
        lines.append((row.title, plain(row.p50_ms), plain(row.p99_ms), ratio, growth, verdict or "-"))
    columns = ("server", "p50 ms", "p99 ms", "p99 to the controls", "memory growth, peak", "the stalled")
    return Table(columns, lines)


def plain_table(results: Results, name: str, *, otherwise: str) -> Table:
    """Quantities with a goal each; `otherwise` is shown for those without."""
    lines: list[tuple[str, ...]] = []
    for row in results.plain(name):
        ordered = sorted(row.figures)
        if not ordered:
            continue
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        wanted = f"≤ {row.wanted:g} {row.unit}" if row.wanted else otherwise
        lines.append(
            (row.title, wanted, *(f"{figure:,.1f} {row.unit}" for figure in (middle(ordered), p99, ordered[-1])))
        )
    return Table(("quantity", "wanted", "p50", "p99", "maximum"), lines)


def _limits(results: Results) -> Table:
    return plain_table(results, "limits", otherwise="the same")


def _history(results: Results) -> Table:
    return plain_table(results, "history", otherwise="-")


def tables(results: Results) -> dict[str, Table]:
    """All tables that have figures, by title."""
    found = {f"Fan-out, W={w}": fanout_table(results, w) for w in fanout.UNDER_WAY}
    found |= {
        "Idle sessions": idle_table(results),
        "Handshakes": handshake_table(results),
        "Stalled sockets": stalled_table(results),
        "Limits": _limits(results),
        "History": _history(results),
        "Small rooms": small_rooms_table(results),
        "Returning storm": storm_table(results),
        "Beside Centrifugo and nchan": against_table(results),
    }
    return {title: table for title, table in found.items() if table.rows}


def _describe_run(results: Results, name: str) -> str:
    if name not in results.sections:
        return "*Not measured yet.*"
    section = results.sections[name]
    settings = ", ".join(f"{name}: {value:g}" for name, value in section.settings.items())
    return (
        f"*Taken {section.taken.replace('+00:00', ' UTC')}; {settings}. {section.machine}. Meanwhile other processes "
        f"used {section.elsewhere * 100:.0f} % of the machine's CPU time. {section.versions}.*"
    )


def errors(results: Results) -> list[str]:
    """The error of each round that gave no figure."""
    found = [f"{row.title}: {error}" for row in results.fanout() if row.under_way == 1 for error in row.errors]
    found += [f"{row.title}: {error}" for row in results.handshake() for error in row.errors]
    found += [f"{row.title}: {error}" for row in results.stalled() for error in row.errors]
    found += [f"{row.title}: {row.error}" for row in results.idle() if row.error is not None]
    found += errors_against(results)
    return [f"{error} ({times}x)" for error, times in sorted(Counter(found).items())]


def _describe_messages(results: Results) -> str:
    """Whether the measured build numbered and stored messages, as seen in the received frames."""
    row = next((row for row in results.fanout() if row.system == "tannoy" and row.frame_bytes), None)
    if row is None:
        return "Tannoy's fan-out has not been measured."
    size = f"The text of a Tannoy message had {row.frame_bytes} bytes"
    if row.numbered:
        return f"{size} and an `offset`: each message was numbered and stored as history in Valkey."
    return (
        f"{size} and **no** `offset`: messages were not numbered and not stored as history, so the cost of history is "
        "not in these figures."
    )


def _describe_presence(present: bool | None) -> str:
    if present is None:
        return "Whether Tannoy kept presence is not known."
    if present:
        return "Tannoy's `welcome` had the number of users in the room: presence was kept in Valkey."
    return (
        "Tannoy's `welcome` had **no** number of users: presence was not kept, so the cost of presence is not in "
        "these figures."
    )


def caveats(results: Results) -> str:
    """Which features of the measured build were on, as seen in the received frames."""
    present = next((row.presence for row in results.handshake() if row.system == "tannoy"), None)
    return f"{_describe_messages(results)} {_describe_presence(present)}"


def write(results: Results) -> None:
    """Generate `README.md` and `figures.svg` from the results."""
    values = {
        "goals": goals(results).markdown(),
        "fanout_1": fanout_table(results, 1).markdown(),
        "fanout_8": fanout_table(results, 8).markdown(),
        "idle": idle_table(results).markdown(),
        "handshake": handshake_table(results).markdown(),
        "stalled": stalled_table(results).markdown(),
        "limits": _limits(results).markdown(),
        "history": _history(results).markdown(),
        "rooms": small_rooms_table(results).markdown(),
        "storm": storm_table(results).markdown(),
        "against": against_table(results).markdown(),
        "caveats": caveats(results),
        "messages": _describe_messages(results),
        "idle_presence": _describe_presence(
            next((row.presence for row in results.idle() if row.system == "tannoy"), None)
        ),
        "handshake_presence": _describe_presence(
            next((row.presence for row in results.handshake() if row.system == "tannoy"), None)
        ),
        "errors": "\n".join(f"- {error}" for error in errors(results)) or "None.",
    }
    values |= {
        f"{name}_run": _describe_run(results, name)
        for name in ("fanout", "idle", "handshake", "stalled", "limits", "history", "rooms", "storm")
    }
    (FOLDER / "README.md").write_text(string.Template(TEMPLATE.read_text()).substitute(values))
    if rows := results.fanout():
        (FOLDER / "figures.svg").write_text(draw(rows))
    if any(row.samples for row in results.storm()):
        (FOLDER / "storm.svg").write_text(storm_figure.draw(results.storm()))
