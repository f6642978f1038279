"""The plot of the returning storm, as SVG: sessions back, latency of the bystanders, CPU of the store, over time."""

from collections.abc import Callable, Sequence
from html import escape
from math import log10

from .storm import Row

_LEFT, _RIGHT, _TOP = 70, 170, 34
_WIDTH, _HEIGHT, _GAP = 520, 130, 46
_CLASSES = {"tannoy-3": "tannoy", "centrifugo-3": "second", "nchan-3": "third"}

_STYLE = """\
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2937 }
.head { font-weight: 600; font-size: 13px }
.dim { fill: #6b7280 }
.axis { stroke: #d1d5db }
polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.tannoy { stroke: #2563eb }
.second { stroke: #d97706 }
.third { stroke: #6b7280 }
@media (prefers-color-scheme: dark) {
  text { fill: #e5e7eb }
  .dim { fill: #9ca3af }
  .axis { stroke: #4b5563 }
  .tannoy { stroke: #60a5fa }
  .second { stroke: #fbbf24 }
  .third { stroke: #9ca3af }
}
</style>"""


def draw(rows: Sequence[Row]) -> str:
    """Draw a panel for each quantity, with a line for each system that was measured."""
    rows = [row for row in rows if row.samples]
    first = min(row.samples[0][0] for row in rows)
    last = max(row.samples[-1][0] for row in rows)
    sessions = max(row.sessions for row in rows)
    slowest = max(max(sample[2] for sample in row.samples) for row in rows)
    decades = max(2, int(log10(max(slowest, 1.0))) + 1)
    panels: list[tuple[str, int, Callable[[float], float], list[tuple[float, str]]]] = [
        ("Sessions back", 1, lambda value: value / sessions, [(0, "0"), (1, f"{sessions:,}")]),
        (
            "Worst latency of the bystanders, ms",
            2,
            lambda value: max(log10(max(value, 1.0)), 0.0) / decades,
            [(each / decades, f"{10**each:,}") for each in range(decades + 1)],
        ),
        ("CPU of Redis, of one core", 3, lambda value: min(value, 1.0), [(0, "0"), (0.5, "50 %"), (1, "100 %")]),
    ]
    parts: list[str] = []
    for number, (title, column, scale, marks) in enumerate(panels):
        top = _TOP + number * (_HEIGHT + _GAP)
        parts += _draw_axes(title, top, first, last, marks)
        for row in rows:
            points = " ".join(
                f"{_x(sample[0], first, last):.1f},{top + _HEIGHT * (1 - scale(sample[column])):.1f}"
                for sample in row.samples
            )
            parts.append(f'<polyline class="{_CLASSES.get(row.system, "third")}" points="{points}"/>')
    parts += _draw_legend(rows)
    height = _TOP + len(panels) * (_HEIGHT + _GAP)
    width = _LEFT + _WIDTH + _RIGHT
    label = f"The sessions of a killed node come back: {sessions:,} of them, over seconds"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{label}">'
    )
    return "\n".join([head, f"<title>{label}</title>", _STYLE, *parts, "</svg>", ""])


def _x(seconds: float, first: float, last: float) -> float:
    return _LEFT + _WIDTH * (seconds - first) / (last - first)


def _draw_axes(title: str, top: int, first: float, last: float, marks: Sequence[tuple[float, str]]) -> list[str]:
    bottom = top + _HEIGHT
    parts = [f'<text class="head" x="{_LEFT}" y="{top - 8}">{escape(title)}</text>']
    for share, text in marks:
        y = bottom - _HEIGHT * share
        parts.append(f'<line class="axis" x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + _WIDTH}" y2="{y:.1f}"/>')
        parts.append(f'<text class="dim" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    step = 1 if last - first <= 12 else 5
    for second in range(int(first) - int(first) % step, int(last) + 1, step):
        x = _x(second, first, last)
        if x >= _LEFT:
            parts.append(f'<text class="dim" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{second} s</text>')
    killed = _x(0, first, last)
    parts.append(f'<line class="axis" x1="{killed:.1f}" y1="{top}" x2="{killed:.1f}" y2="{bottom}"/>')
    return parts


def _draw_legend(rows: Sequence[Row]) -> list[str]:
    parts: list[str] = []
    for number, row in enumerate(rows):
        y = _TOP + 10 + 20 * number
        left = _LEFT + _WIDTH + 14
        kind = _CLASSES.get(row.system, "third")
        parts.append(f'<polyline class="{kind}" points="{left},{y} {left + 18},{y}"/>')
        parts.append(f'<text x="{left + 24}" y="{y + 4}">{escape(row.title.partition(",")[0])}</text>')
    return parts
