"""What the doctor has found: one thing that is wrong, what it means, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    CRITICAL = "critical"  # clients are affected now
    WARNING = "warning"  # they will be, or some are


@dataclass(frozen=True, slots=True)
class Finding:
    type: str
    severity: Severity
    part: str
    """What is affected: settings, tokens, resources, connections, messages, Redis, cluster."""
    seen: str
    means: str
    do: str
    figures: Mapping[str, object] = field(default_factory=dict[str, object])
    """What was measured."""

    def as_object(self) -> dict[str, object]:
        return {
            "type": self.type,
            "severity": self.severity.value,
            "part": self.part,
            "seen": self.seen,
            "means": self.means,
            "do": self.do,
            "figures": dict(self.figures),
        }


def critical(type_: str, part: str, seen: str, means: str, do: str, **figures: object) -> Finding:
    return Finding(type_, Severity.CRITICAL, part, seen, means, do, figures)


def warning(type_: str, part: str, seen: str, means: str, do: str, **figures: object) -> Finding:
    return Finding(type_, Severity.WARNING, part, seen, means, do, figures)
