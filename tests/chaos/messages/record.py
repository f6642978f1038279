"""What was said, acknowledged, heard and read in a run: compact, since a million deliveries are kept.

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


class Place(NamedTuple):
    """Behind the message `offset` of `epoch`."""

    epoch: str
    offset: int

    @classmethod
    def of(cls, frame: dict[str, Any]) -> "Place | None":
        """As a frame tells it; None if it tells none."""
        epoch, offset = frame.get("epoch"), frame.get("offset")
        return cls(epoch, offset) if isinstance(epoch, str) and isinstance(offset, int) else None

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"


# ---- what is said: it can be told from its number alone


def content_of(number: int, size: int) -> dict[str, Any]:
    return {"n": number, "size": size, "text": (f"{number}." * (size // 2 + 1))[:size]}


class Messages:
    """Messages as they came, in columns: 32 bytes each."""

    __slots__ = ("digests", "numbers", "offsets", "times")

    def __init__(self) -> None:
        self.offsets = array("q")
        self.numbers = array("q")
        self.digests = array("q")
        self.times = array("d")

    def __len__(self) -> int:
        return len(self.offsets)

    def add(self, at: float, frame: dict[str, Any]) -> None:
        """-1 stands for an offset or a number that is not there, or for content that nobody has said."""
        offset, content = frame.pop("offset", -1), frame["content"]
        number = content["n"] if content == content_of(content["n"], content["size"]) else -1
        self.offsets.append(offset)
        self.numbers.append(number)
        # All but the offset, as one text, whichever wire format it came in.
        self.digests.append(hash(orjson.dumps(frame, option=orjson.OPT_SORT_KEYS)))
        self.times.append(at)


class Resync(NamedTuple):
    """Came before the message number `before` of its stay, counted from 0."""

    before: int
    at: float
    place: Place | None
    reason: str


@dataclass(slots=True)
class Stay:
    """One session's time in one channel, as its client saw it.

    `asked`: the place from which it asked to be brought up to date. `place`: where it stands by what it was told.
    """

    number: int
    client: str
    channel: str
    node: str
    at: float
    asked: Place | None
    start: Place | None
    recovered: bool | None
    messages: Messages = field(default_factory=Messages)
    resyncs: list[Resync] = field(default_factory=list[Resync])
    ended_at: float = NEVER
    place: Place | None = None

    def __str__(self) -> str:
        return f"stay {self.number} of {self.client} on {self.node} [{self.at:.3f}, {self.ended_at:.3f}]"


class Post(NamedTuple):
    """A message as its author gives it to a node, maybe several times. Without a key it does so once."""

    number: int
    channel: str
    size: int
    key: str | None


class Acknowledged(NamedTuple):
    post: Post
    place: Place
    at: float
    tries: int


class Window(NamedTuple):
    """Which part of a channel's history is asked for."""

    limit: int
    since: int | None = None
    before: int | None = None

    def as_fields(self) -> dict[str, int]:
        return {name: value for name, value in self._asdict().items() if value is not None}


@dataclass(slots=True)
class Page:
    """What somebody read of a channel's history."""

    channel: str
    node: str
    asked_at: float
    window: Window
    head: Place
    entries: Messages


class Head(NamedTuple):
    """Where a channel is, as a node told when all was quiet. None: it did not answer."""

    at: float
    channel: str
    node: str
    place: Place | None


class Stray(NamedTuple):
    """Something came that may not come, or not there."""

    at: float
    about: str
    what: str


class Record:
    """Append-only."""

    def __init__(self, history: History, *, kept: int) -> None:
        self.history = history
        self.kept = kept
        """HISTORY_SIZE of the nodes."""
        self.stays: list[Stay] = []
        self.acknowledged: list[Acknowledged] = []
        self.given_up: list[Post] = []
        """Nobody knows whether these were said."""
        self.pages: list[Page] = []
        self.heads: list[Head] = []
        self.strays: list[Stray] = []
        self.deliveries = 0

    def entered(
        self, at: float, client: str, channel: str, node: str, asked: Place | None, told: dict[str, Any]
    ) -> Stay:
        """`told`: the `welcome`, or the `ok` of `join`."""
        stay = Stay(len(self.stays), client, channel, node, at, asked, Place.of(told), told.get("recovered"))
        stay.place = asked if stay.recovered else stay.start
        self.stays.append(stay)
        return stay

    def heard(self, stay: Stay, at: float, frame: dict[str, Any]) -> None:
        stay.messages.add(at, frame)
        self.deliveries += 1
        if stay.place is not None:
            stay.place = Place(stay.place.epoch, max(stay.place.offset, stay.messages.offsets[-1]))

    def resynced(self, stay: Stay, at: float, frame: dict[str, Any]) -> None:
        place = Place.of(frame)
        stay.resyncs.append(Resync(len(stay.messages), at, place, frame["reason"]))
        stay.place = place or stay.place

    def stray(self, at: float, about: str, what: str) -> None:
        self.strays.append(Stray(at, about, what))

    def write(self, path: Path) -> None:
        """One JSON array per line: what it is, then its fields. Faults and all else of `history` come first."""
        self.history.write(path)
        with path.open("a") as file:
            for stay in self.stays:
                file.write(json.dumps(["Stay", *_fields(stay)]) + "\n")
            for page in self.pages:
                file.write(json.dumps(["Page", *_fields(page)]) + "\n")
            for event in (*self.acknowledged, *self.heads, *self.strays):
                file.write(json.dumps([type(event).__name__, *event]) + "\n")


def _fields(whole: Stay | Page) -> list[object]:
    values = (getattr(whole, name) for name in whole.__slots__)
    return [list(zip(v.offsets, v.numbers, v.times, strict=True)) if isinstance(v, Messages) else v for v in values]
