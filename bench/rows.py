"""A question and its figures, for benchmarks that compare nobody."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Row:
    """One question; a list has one figure per round, or per event. A `wanted` of 0: no goal."""

    key: str
    title: str
    unit: str
    wanted: float
    figures: list[float] = field(default_factory=list[float])
