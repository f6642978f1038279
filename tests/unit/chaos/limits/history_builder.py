"""Builds a history of limits by hand."""

import itertools
from collections.abc import Sequence
from typing import Self

from tests.chaos.harness.history import (
    Attempt,
    End,
    Ended,
    Event,
    Fault,
    FaultKind,
    Healed,
    History,
    LimitSet,
    MessageReceived,
    Published,
    Welcomed,
)
from tests.chaos.harness.violation import Kind
from tests.chaos.limits.verify import verify


class HistoryBuilder(History):
    """A history of agent a. Each method adds events and returns the builder."""

    def __init__(self, *, limit: int = 1, policy: str = "evict_oldest") -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self.add(LimitSet(0.0, "a", limit, policy))

    def session(
        self,
        welcomed: float,
        ended: float | None = None,
        end: End = End.LEFT,
        code: int | None = None,
        *,
        node: str = "n1",
        named: str | None = None,
        received: Sequence[float] = (),
        retry_after: float | None = None,
    ) -> Self:
        """A session of the agent. `received`: when the messages that it receives were sent."""
        number = next(self._numbers)
        self.add(Attempt(welcomed - 0.1, number, "a", None, node, named, ""))
        self.add(Welcomed(welcomed, number, named or f"s{number}"))
        for published in received:
            message = next(self._numbers)
            self.add(Published(published, message))
            self.add(MessageReceived(max(published, welcomed) + 0.001, number, message))
        if ended is not None:
            self.add(Ended(ended, number, end, code, retry_after))
        return self

    def refusal(self, code: int, retry_after: float | None) -> Self:
        number = next(self._numbers)
        self.add(Attempt(1.0, number, "a", None, "n1", None, ""))
        self.add(Ended(1.1, number, End.BYE, code, retry_after))
        return self

    def fault(self, began: float, until: float, kind: FaultKind = FaultKind.FREEZE_NODE, target: str = "n1") -> Self:
        number = next(self._numbers)
        self.add(Fault(began, number, kind, target))
        self.add(Healed(until, number))
        return self

    def with_events(self, *events: Event) -> Self:
        for event in events:
            self.add(event)
        return self

    @property
    def verdict(self) -> list[Kind]:
        return [violation.kind for violation in verify(self)]
