"""What a metric is: its name, its kind, what it means, and how it is read from the statistics of a node."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from ...shared.durations import DurationStatistics
from ..statistics import NodeStatistics

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the number."""
DurationSample = tuple[tuple[str, ...], DurationStatistics]


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"  # its samples are named NAME_total


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its samples. `name` is without the suffix `_total` of a counter."""

    kind: Kind
    name: str
    meaning: str
    labels: tuple[str, ...]
    read: Callable[[NodeStatistics], Iterable[Sample]]

    @property
    def sample_name(self) -> str:
        """The name in queries."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


@dataclass(frozen=True, slots=True)
class DurationFamily:
    """A histogram of seconds, with the ranges of `shared/durations.py`."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    read: Callable[[NodeStatistics], Iterable[DurationSample]]

    @property
    def sample_name(self) -> str:
        return self.name


def gauge(name: str, meaning: str, read: Callable[[NodeStatistics], float | None]) -> Family:
    """One number; None: it is not known, and there is no sample."""
    return Family(Kind.GAUGE, name, meaning, (), lambda statistics: _known(read(statistics)))


def counter(name: str, meaning: str, read: Callable[[NodeStatistics], float | None]) -> Family:
    """One number that only rises."""
    return Family(Kind.COUNTER, name, meaning, (), lambda statistics: _known(read(statistics)))


def _known(value: float | None) -> Iterable[Sample]:
    return () if value is None else (((), value),)
