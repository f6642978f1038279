"""A measured quantity, for benchmarks that compare no systems."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Row:
    """One quantity, with one figure per round or per event. `wanted` is the highest figure of the goal; 0: no goal."""

    key: str
    title: str
    unit: str
    wanted: float
    figures: list[float] = field(default_factory=list[float])
