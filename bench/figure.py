"""The bar chart of the fan-out, as SVG with a light and a dark theme."""

from collections.abc import Sequence
from html import escape

from .fanout import Row
from .tables import middle, times

_LABELS = 250
_BARS = 360
_FIGURES = 220
_LINE = 26
_PANEL_HEAD = 44
_WIDTH = _LABELS + _BARS + _FIGURES

_STYLE = """\
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2937 }
.head { font-weight: 600; font-size: 14px }
.dim { fill: #6b7280 }
.floor { fill: none; stroke: #9ca3af; stroke-dasharray: 3 2 }
.rival { fill: #9ca3af }
.tannoy { fill: #2563eb }
.range { stroke: #1f2937; stroke-width: 1.5; opacity: .7 }
.axis { stroke: #d1d5db }
@media (prefers-color-scheme: dark) {
  text { fill: #e5e7eb }
  .dim { fill: #9ca3af }
  .floor { fill: none; stroke: #9ca3af; stroke-dasharray: 3 2 }
.rival { fill: #6b7280 }
  .tannoy { fill: #60a5fa }
  .range { stroke: #f9fafb }
  .axis { stroke: #4b5563 }
}
</style>"""


def draw(rows: Sequence[Row]) -> str:
    """Draw one panel for each W, with one bar for each system: the median, and a line from minimum to maximum."""
    parts: list[str] = []
    top = 0
    for under_way in sorted({row.under_way for row in rows}):
        panel = [row for row in rows if row.under_way == under_way and row.per_cpu_second]
        parts.extend(_draw_panel(panel, under_way, top))
        top += _PANEL_HEAD + _LINE * len(panel) + 12
    label = "Deliveries per CPU-second of the servers, by system"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}" '
        f'role="img" aria-label="{label}">'
    )
    return "\n".join([head, f"<title>{label}</title>", _STYLE, *parts, "</svg>", ""])


def _draw_panel(rows: Sequence[Row], under_way: int, top: int) -> list[str]:
    most = max((max(row.per_cpu_second) for row in rows), default=1.0)
    bases = {row.system: middle(row.per_cpu_second) for row in rows}
    words = "1 message in flight" if under_way == 1 else f"{under_way} messages in flight"
    bottom = top + _PANEL_HEAD + _LINE * len(rows)
    parts = [
        f'<text class="head" x="8" y="{top + 22}">Deliveries per CPU-second, {words}</text>',
        f'<line class="axis" x1="{_LABELS}" y1="{top + _PANEL_HEAD - 8}" x2="{_LABELS}" y2="{bottom}"/>',
    ]
    for number, row in enumerate(rows):
        rival, name = ("naive", "Starlette") if row.nodes == 1 else ("socketio-2", "python-socketio")
        ratio = f"{times(middle(row.per_cpu_second), bases.get(rival, 0.0))} {name}"
        parts.extend(_draw_bar(row, most, ratio, top + _PANEL_HEAD + _LINE * number))
    return parts


def _draw_bar(row: Row, most: float, ratio: str, top: int) -> list[str]:
    figure = middle(row.per_cpu_second)
    scale = _BARS / most
    width, low, high = (max(value * scale, 1.0) for value in (figure, min(row.per_cpu_second), max(row.per_cpu_second)))
    kind = {"tannoy": "tannoy", "floor": "floor"}.get(row.system.partition("-")[0], "rival")
    middle_y = top + 8
    parts = [
        f'<text x="{_LABELS - 10}" y="{top + 13}" text-anchor="end">{escape(row.title.replace("`", ""))}</text>',
        f'<rect class="{kind}" x="{_LABELS}" y="{top}" width="{width:.1f}" height="16" rx="2"/>',
        f'<text x="{_LABELS + high + 8:.1f}" y="{top + 13}">{figure / 1000:,.0f} k '
        f'<tspan class="dim">{ratio if kind == "tannoy" else ""}</tspan></text>',
    ]
    if high - low > 1:
        parts.append(
            f'<line class="range" x1="{_LABELS + low:.1f}" y1="{middle_y}" x2="{_LABELS + high:.1f}" y2="{middle_y}"/>'
        )
    return parts
