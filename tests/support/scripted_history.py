"""Cursors over a Redis whose log, heads and link are in the test's hand."""

import asyncio
from dataclasses import dataclass, field

from tannoy.fanout.history.reader import HistoryReader, HistoryRules
from tannoy.fanout.history.tracker import ChannelTracker, Deliveries
from tannoy.fanout.pubsub.envelope import pack_publication
from tannoy.fanout.redis.connection import Reply
from tannoy.fanout.scripts import HISTORY_READ
from tannoy.shared.channels import Channel
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.protocol.codec import JSON, MSGPACK
from tannoy.shared.publication import EncodedMessage, Position, Publication

from tests.support.clock import manual_clock
from tests.support.scripted_redis import Call, ScriptedPipeline

KEYSPACE = Keyspace("tannoy")
LIFE = "life"
EPOCH = "life-1"


def envelope() -> bytes:
    """As a node packs what is said; history keeps it as it is."""
    said = {"type": "message"}
    return pack_publication(Publication(EncodedMessage(JSON.encode(said), MSGPACK.encode(said))))


def numbered(offset: int, epoch: str = EPOCH) -> bytes:
    """As Redis publishes it."""
    return b"\x03%b %d %b" % (epoch.encode(), offset, envelope())


def message(offset: int) -> dict[str, object]:
    """As a client hears it."""
    return {"type": "message", "offset": offset}


@dataclass
class ScriptedLog:
    """What Redis keeps of one channel. No head: it is gone."""

    head: Position | None = None
    kept: list[int] = field(default_factory=list[int])

    def say(self, *offsets: int) -> None:
        self.kept += offsets
        self.head = Position(EPOCH, offsets[-1])


class ScriptedHistory(ScriptedPipeline):
    """Reads of history are answered from `logs`. A channel that is not in there is at `head`; nothing of it is kept.

    One without a head begins `next_epoch` when it is asked for.
    """

    def __init__(self, head: Position | None = None) -> None:
        super().__init__()
        self.default = head
        self.logs: dict[bytes, ScriptedLog] = {}
        self.life: str | None = LIFE
        self.next_epoch = f"{LIFE}-2"
        self.say(HISTORY_READ, self.read)
        self.say("HGET", lambda call: None if self.life is None else self.life.encode())
        self.say("MGET", lambda call: [self._head(key) for key in call.words])
        self.say("EXPIRE", 1)

    def of(self, channel: Channel) -> ScriptedLog:
        return self._of(KEYSPACE.history(channel).head)

    def _of(self, key: bytes) -> ScriptedLog:
        return self.logs.setdefault(key, ScriptedLog(self.default))

    def _head(self, key: bytes) -> bytes | None:
        head = self._of(key).head
        return None if head is None else b"%b %d" % (head.epoch.encode(), head.offset)

    def read(self, call: Call) -> Reply:
        """What Redis answers to HISTORY_READ."""
        _, head, _ = call.keys
        log = self._of(head)
        if log.head is None or (self.life is not None and not log.head.epoch.startswith(self.life)):
            log.head = Position(self.next_epoch, 0 if log.head is None else log.head.offset)
        lowest, count = int(call.words[0]), int(call.words[2])
        entries = [[b"%d-0" % n, [b"m", envelope()]] for n in log.kept if n >= lowest][:count]
        return [self._head(head), entries]


class TrackerDriver:
    """Cursors, with what they pass on in `heard`: (channel, offset), resets as (channel, `EPOCH/OFFSET`)."""

    def __init__(self, *, history_size: int = 100) -> None:
        self.past = ScriptedHistory()
        self.history = HistoryReader(self.past, KEYSPACE, HistoryRules(history_size, 300))
        self.tracker = ChannelTracker(self.history, self, clock=manual_clock(), deliver=self._deliver)
        self.proofs: list[asyncio.Future[bool]] = []
        self.proof_partitions: list[int] = []
        self._heard: list[tuple[str, int | str]] = []
        self._names: dict[bytes, str] = {}

    def send_barrier(self, partition: int) -> "asyncio.Future[bool]":
        """As the link gives it; the test tells what came of it."""
        self.proof_partitions.append(partition)
        self.proofs.append(asyncio.get_running_loop().create_future())
        return self.proofs[-1]

    def _deliver(self, deliveries: Deliveries) -> None:
        for address, told in deliveries:
            what = f"{told.epoch}/{told.offset}" if told.resets else told.offset
            self._heard.append((address.decode().rpartition(":")[2], what))

    def follow(self, channel: Channel, *, at: int | None) -> None:
        """As an entrance does: `at` is the head that it was told, of `EPOCH`."""
        self.tracker.follow(channel)
        if at is not None:
            self.tracker.known(channel, Position(EPOCH, at))

    def bring(self, channel: Channel, *offsets: int, epoch: str = EPOCH) -> None:
        """All of it in one batch of the link."""
        self.tracker.received([(channel.address, numbered(offset, epoch)) for offset in offsets])

    def heard(self) -> list[int | str]:
        """Without the channel, since it was last asked."""
        return [what for _, what in self.heard_where()]

    def heard_where(self) -> list[tuple[str, int | str]]:
        heard, self._heard = self._heard, []
        return heard

    def count(self, what: str) -> int | float:
        return self.tracker.statistics()[what]

    @property
    def reads(self) -> list[int]:
        """The lowest offset of each read of a log so far."""
        return [int(words[0]) for words in self.past.asked(HISTORY_READ)]
