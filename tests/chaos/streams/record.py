"""What a run of streams has seen, and what it found wrong."""

from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.harness.history import History
from tests.chaos.harness.violation import Kind, Violation


def piece_of(stream_id: str, number: int) -> bytes:
    """A piece of a stream's text: that follows from its name, so every tab can tell whether it is right."""
    return f"{stream_id}#{number} é漢 ".encode()


class References:
    """The texts of all streams, as long as anybody has asked for."""

    def __init__(self) -> None:
        self._texts: dict[str, bytearray] = {}
        self._pieces: Counter[str] = Counter()

    def text(self, stream_id: str, start: int, end: int) -> bytes:
        text = self._texts.setdefault(stream_id, bytearray())
        while len(text) < end:
            text += piece_of(stream_id, self._pieces[stream_id])
            self._pieces[stream_id] += 1
        return bytes(text[start:end])


@dataclass(slots=True)
class Record:
    """`lengths`: of streams whose end was confirmed, and how long their texts are then."""

    history: History
    references: References = field(default_factory=References)
    violations: list[Violation] = field(default_factory=list[Violation])
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    begun: int = 0
    pieces: int = 0
    heard: int = 0
    """Frames of streams that tabs were sent."""
    caught_up: int = 0
    """Whole texts among them that were longer than nothing."""
    ends: Counter[str] = field(default_factory=Counter[str])
    """By their status, as tabs have heard them."""
    tabs: int = 0

    def violate(self, kind: Kind, about: str, evidence: str) -> None:
        self.violations.append(Violation(kind, self.history.now(), about, evidence))
