"""What was published, acknowledged, received and read in a run; compact, since a million deliveries are kept.

All times are the run's (`history.py`): of what came over a WebSocket those of its arrival at our kernel.
"""

import json
import math
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from tests.chaos.harness.history import History

NEVER = math.inf


class Position(NamedTuple):
    """After the message with this offset in this epoch."""

    epoch: str
    offset: int

    @classmethod
    def of(cls, frame: dict[str, Any]) -> "Position | None":
        """The position in a frame; None if the frame has none."""
        epoch, offset = frame.get("epoch"), frame.get("offset")
        return cls(epoch, offset) if isinstance(epoch, str) and isinstance(offset, int) else None

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"


# ---- messages


def content_of(number: int, size: int) -> dict[str, Any]:
    return {"n": number, "size": size, "text": (f"{number}." * (size // 2 + 1))[:size]}


class Messages:
    """Messages in order of arrival, in columns: 32 bytes each."""

    __slots__ = ("digests", "numbers", "offsets", "times")

    def __init__(self) -> None:
        self.offsets = array("q")
        self.numbers = array("q")
        self.digests = array("q")
        self.times = array("d")

    def __len__(self) -> int:
        return len(self.offsets)

    def add(self, at: float, frame: dict[str, Any]) -> None:
        """-1 stands for a missing offset, and for the number of a message whose content was never published."""
        offset, content = frame.pop("offset", -1), frame["content"]
        number = content["n"] if content == content_of(content["n"], content["size"]) else -1
        self.offsets.append(offset)
        self.numbers.append(number)
        # All fields except the offset, in one form for both wire formats.
        self.digests.append(hash(orjson.dumps(frame, option=orjson.OPT_SORT_KEYS)))
        self.times.append(at)


class Resync(NamedTuple):
    """Arrived before the message with index `before` of its subscription."""

    before: int
    at: float
    position: Position | None
    reason: str


@dataclass(slots=True)
class Subscription:
    """The time of one session in one channel, as its client saw it.

    `asked`: the position from which it asked to recover. `position`: the last one that it received.
    """

    number: int
    client: str
    channel: str
    node: str
    at: float
    asked: Position | None
    start: Position | None
    recovered: bool | None
    messages: Messages = field(default_factory=Messages)
    resyncs: list[Resync] = field(default_factory=list[Resync])
    ended_at: float = NEVER
    position: Position | None = None

    def __str__(self) -> str:
        return f"subscription {self.number} of {self.client} on {self.node} [{self.at:.3f}, {self.ended_at:.3f}]"


class Post(NamedTuple):
    """A message as its author sends it to a node: once without a key, and with one until it is acknowledged."""

    number: int
    channel: str
    size: int
    key: str | None


class Acknowledged(NamedTuple):
    post: Post
    position: Position
    at: float
    tries: int


class Window(NamedTuple):
    """The part of a channel's history that is requested."""

    limit: int
    since: int | None = None
    before: int | None = None

    def as_fields(self) -> dict[str, int]:
        return {name: value for name, value in self._asdict().items() if value is not None}


@dataclass(slots=True)
class Page:
    """A page of a channel's history that was read."""

    channel: str
    node: str
    asked_at: float
    window: Window
    head: Position
    entries: Messages
    has_more: bool = False
    """The node has left out messages, because the page would have been too large in bytes."""


class Head(NamedTuple):
    """The head of a channel by one node, after the faults. None: the node did not answer."""

    at: float
    channel: str
    node: str
    position: Position | None


class Unexpected(NamedTuple):
    """A frame or an answer that the protocol does not allow there, or a client that could not return."""

    at: float
    about: str
    what: str


class ReadMessage(NamedTuple):
    """`position`: where the client says that it is, behind it. `number` is -1 for a content that nobody published."""

    at: float
    position: Position | None
    offset: int | None
    number: int
    timestamp: str = ""


class ReadGap(NamedTuple):
    """Messages after `after`, up to and including `until`, may be missing, as the client was told."""

    at: float
    after: Position | None
    until: Position | None


@dataclass(slots=True)
class Reads:
    """What one client has read in one channel, from the position `start` on. `position`: up to where it has read."""

    client: str
    channel: str
    start: Position | None
    items: list[ReadMessage | ReadGap] = field(default_factory=list[ReadMessage | ReadGap])
    position: Position | None = None

    def __post_init__(self) -> None:
        self.position = self.position or self.start


class Record:
    """The data of a run, append-only."""

    def __init__(self, history: History, *, kept: int) -> None:
        self.history = history
        self.kept = kept
        """HISTORY_SIZE of the nodes."""
        self.subscriptions: list[Subscription] = []
        self.acknowledged: list[Acknowledged] = []
        self.unconfirmed: list[Post] = []
        """Messages of which it is unknown whether they were published."""
        self.pages: list[Page] = []
        self.heads: list[Head] = []
        self.unexpected: list[Unexpected] = []
        self.reads: list[Reads] = []
        """What clients of the product have read."""
        self.deliveries = 0

    def add_subscription(
        self, at: float, client: str, channel: str, node: str, asked: Position | None, answer: dict[str, Any]
    ) -> Subscription:
        """`answer`: the `welcome`, or the `ok` of `join`."""
        subscription = Subscription(
            len(self.subscriptions), client, channel, node, at, asked, Position.of(answer), answer.get("recovered")
        )
        subscription.position = asked if subscription.recovered else subscription.start
        self.subscriptions.append(subscription)
        return subscription

    def add_message(self, subscription: Subscription, at: float, frame: dict[str, Any]) -> None:
        subscription.messages.add(at, frame)
        self.deliveries += 1
        if subscription.position is not None:
            subscription.position = Position(
                subscription.position.epoch, max(subscription.position.offset, subscription.messages.offsets[-1])
            )

    def add_resync(self, subscription: Subscription, at: float, frame: dict[str, Any]) -> None:
        position = Position.of(frame)
        subscription.resyncs.append(Resync(len(subscription.messages), at, position, frame["reason"]))
        subscription.position = position or subscription.position

    def add_unexpected(self, at: float, about: str, what: str) -> None:
        self.unexpected.append(Unexpected(at, about, what))

    def write(self, path: Path) -> None:
        """One JSON array per line: the kind of entry, then its fields. The events of `history` come first."""
        self.history.write(path)
        with path.open("a") as file:
            for subscription in self.subscriptions:
                file.write(json.dumps(["Subscription", *_fields(subscription)]) + "\n")
            for page in self.pages:
                file.write(json.dumps(["Page", *_fields(page)]) + "\n")
            for event in (*self.acknowledged, *self.heads, *self.unexpected):
                file.write(json.dumps([type(event).__name__, *event]) + "\n")


def _fields(whole: Subscription | Page) -> list[object]:
    values = (getattr(whole, name) for name in whole.__slots__)
    return [list(zip(v.offsets, v.numbers, v.times, strict=True)) if isinstance(v, Messages) else v for v in values]
