"""A record of messages that is told in short sentences."""

from collections.abc import Sequence
from typing import Any, Self

from tests.chaos.harness.history import Fault, FaultKind, Healed, History
from tests.chaos.harness.violation import Kind
from tests.chaos.messages.record import (
    Acknowledged,
    Head,
    Messages,
    Page,
    Place,
    Post,
    Record,
    Window,
    content_of,
)
from tests.chaos.messages.verify import verify

E, F = "life.1-e", "life.2-f"
CHANNEL = "room:r"
STEP = 0.1
"""Seconds from one thing that comes to the next."""
FIRST, NINTH = Place(E, 0), Place(E, 9)


def said(number: int, by: str = "ada") -> dict[str, Any]:
    return {"type": "message", "room": "r", "user_id": by, "content": content_of(number, 5)}


class Story(Record):
    """A record told in short sentences. Message n is the one at offset n, unless something else is said."""

    def __init__(self, *, kept: int = 100) -> None:
        super().__init__(History(), kept=kept)

    def hears(
        self,
        *items: int | Place | tuple[int, int],
        start: Place | None = FIRST,
        asked: Place | None = None,
        recovered: bool | None = None,
        at: float = 1.0,
        lives: bool = False,
        by: str = "ada",
        channel: str = CHANNEL,
    ) -> Self:
        """One stay. Items: messages by offset (and number), and places that a resync tells."""
        told: dict[str, Any] = {} if start is None else start._asdict()
        if recovered is not None:
            told["recovered"] = recovered
        stay = self.entered(at, f"client {len(self.stays)}", channel, "n1", asked, told)
        for item in items:
            at += STEP
            if isinstance(item, Place):
                self.resynced(stay, at, {**item._asdict(), "reason": "lost"})
            else:
                offset, number = item if isinstance(item, tuple) else (item, item)
                self.heard(stay, at, {**said(number, by), "offset": offset})
        if not lives:
            stay.ended_at = at + STEP
        return self

    def acknowledges(self, number: int, place: Place, *, at: float = 1.0, keyed: bool = True) -> Self:
        post = Post(number, CHANNEL, 5, "key" if keyed else None)
        self.acknowledged.append(Acknowledged(post, place, at, 1))
        return self

    def reads(self, offsets: Sequence[int], window: Window, head: Place = NINTH, *, at: float = 5.0) -> Self:
        entries = Messages()
        for offset in offsets:
            entries.add(at, {**said(offset), "offset": offset})
        self.pages.append(Page(CHANNEL, "n2", at, window, head, entries))
        return self

    def suffers(self, kind: FaultKind, began: float, until: float) -> Self:
        number = len(self.history.events)
        self.history.add(Fault(began, number, kind, "n1"))
        self.history.add(Healed(until, number))
        return self

    def ends_at(self, place: Place, *, node: str = "n1") -> Self:
        self.heads.append(Head(20.0, CHANNEL, node, place))
        return self

    @property
    def verdict(self) -> list[Kind]:
        return [violation.kind for violation in verify(self)]


EMPTY = FaultKind.EMPTY_REDIS
