"""Builds a record of messages by hand."""

from collections.abc import Sequence
from typing import Any, Self

from tests.chaos.harness.history import Fault, FaultKind, Healed, History
from tests.chaos.harness.lost_keys import MENDED_WITHIN
from tests.chaos.harness.violation import Kind
from tests.chaos.messages.record import (
    Acknowledged,
    Head,
    Messages,
    Page,
    Position,
    Post,
    Record,
    Window,
    content_of,
)
from tests.chaos.messages.verify import verify

E, F = "life.1-e", "life.2-f"
CHANNEL = "room:r"
STEP = 0.1
"""Seconds between two frames."""
FIRST, NINTH = Position(E, 0), Position(E, 9)


def message_frame(number: int, by: str = "ada") -> dict[str, Any]:
    return {"type": "message", "room": "r", "user_id": by, "content": content_of(number, 5)}


class RecordBuilder(Record):
    """A record of one channel. Each method adds to it and returns the builder. Message n has offset n by default."""

    def __init__(self, *, kept: int = 100) -> None:
        super().__init__(History(), kept=kept)

    def subscription(
        self,
        *items: int | Position | tuple[int, int],
        start: Position | None = FIRST,
        asked: Position | None = None,
        recovered: bool | None = None,
        at: float = 1.0,
        is_open: bool = False,
        by: str = "ada",
        channel: str = CHANNEL,
    ) -> Self:
        """One subscription. Items: messages by offset (or offset and number), and positions of a `resync`."""
        answer: dict[str, Any] = {} if start is None else start._asdict()
        if recovered is not None:
            answer["recovered"] = recovered
        subscription = self.add_subscription(at, f"client {len(self.subscriptions)}", channel, "n1", asked, answer)
        for item in items:
            at += STEP
            if isinstance(item, Position):
                self.add_resync(subscription, at, {**item._asdict(), "reason": "lost"})
            else:
                offset, number = item if isinstance(item, tuple) else (item, item)
                self.add_message(subscription, at, {**message_frame(number, by), "offset": offset})
        if not is_open:
            subscription.ended_at = at + STEP
        return self

    def acknowledgement(
        self, number: int, position: Position, *, at: float = 1.0, keyed: bool = True, tries: int = 1
    ) -> Self:
        post = Post(number, CHANNEL, 5, "key" if keyed else None)
        self.acknowledged.append(Acknowledged(post, position, at, tries))
        return self

    def page(
        self,
        offsets: Sequence[int],
        window: Window,
        head: Position = NINTH,
        *,
        at: float = 5.0,
        has_more: bool = False,
    ) -> Self:
        entries = Messages()
        for offset in offsets:
            entries.add(at, {**message_frame(offset), "offset": offset})
        self.pages.append(Page(CHANNEL, "n2", at, window, head, entries, has_more))
        return self

    def fault(self, kind: FaultKind, began: float, until: float, target: str = "n1") -> Self:
        number = len(self.history.events)
        self.history.add(Fault(began, number, kind, target))
        self.history.add(Healed(until, number))
        return self

    def lost_key(self, kind: str, at: float, channel: str = CHANNEL) -> Self:
        """One key of a channel has vanished."""
        return self.fault(FaultKind.VANISH, at, at + MENDED_WITHIN, f"redis tannoy:{{1}}:{kind}:{channel}")

    def head(self, position: Position, *, node: str = "n1") -> Self:
        self.heads.append(Head(20.0, CHANNEL, node, position))
        return self

    @property
    def verdict(self) -> list[Kind]:
        return [violation.kind for violation in verify(self)]


EMPTY = FaultKind.EMPTY_REDIS
