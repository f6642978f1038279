"""History over a scripted Redis: the test sets logs and heads, and delivers the messages of the link."""

import asyncio
from dataclasses import dataclass, field

from tannoy.fanout.history.reader import HistoryReader, HistoryRules
from tannoy.fanout.history.tracker import ChannelTracker, Deliveries
from tannoy.fanout.pubsub.envelope import pack_publication
from tannoy.fanout.redis.connection import Reply
from tannoy.fanout.scripts import HEAD_RELEASE, HISTORY_READ, SERVER_DOUBT
from tannoy.shared.channels import Channel
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.protocol.codec import JSON, MSGPACK
from tannoy.shared.publication import EncodedMessage, Position, Publication

from tests.support.clock import manual_clock
from tests.support.scripted_redis import Call, ScriptedPipeline

KEYSPACE = Keyspace("tannoy")
LIFE = "life"
EPOCH = "life-1"


def message_envelope() -> bytes:
    """The envelope of a message, as a node packs it and as the log contains it."""
    frame = {"type": "message"}
    return pack_publication(Publication(EncodedMessage(JSON.encode(frame), MSGPACK.encode(frame))))


def message_payload(offset: int, epoch: str = EPOCH) -> bytes:
    """The payload of a message with this offset, as Redis publishes it."""
    return b"\x03%b %d %b" % (epoch.encode(), offset, message_envelope())


def message_frame(offset: int) -> dict[str, object]:
    """The frame of a message with this offset, as a client receives it."""
    return {"type": "message", "offset": offset}


@dataclass
class ScriptedLog:
    """The history of one channel in Redis. `head` is None if its key does not exist."""

    head: Position | None = None
    kept: list[int] = field(default_factory=list[int])

    def append(self, *offsets: int) -> None:
        self.kept += offsets
        self.head = Position(EPOCH, offsets[-1])


class ScriptedHistory(ScriptedPipeline):
    """Answers reads of history from `logs`. A channel without a log is at `head`, and its log is empty.

    A read of a channel without a head starts the epoch `next_epoch`.
    """

    def __init__(self, head: Position | None = None) -> None:
        super().__init__()
        self.default = head
        self.logs: dict[bytes, ScriptedLog] = {}
        self.life: str | None = LIFE
        self.next_epoch = f"{LIFE}-2"
        self.reply_with(HISTORY_READ, self.read)
        self.reply_with("HGET", lambda call: None if self.life is None else self.life.encode())
        self.reply_with("MGET", lambda call: [self._head(key) for key in call.words])
        self.reply_with("EXPIRE", 1)
        self.reply_with(HEAD_RELEASE, 1)
        self.reply_with(SERVER_DOUBT, self.end_life)

    def log_of(self, channel: Channel) -> ScriptedLog:
        return self._of(KEYSPACE.history(channel).head)

    def _of(self, key: bytes) -> ScriptedLog:
        return self.logs.setdefault(key, ScriptedLog(self.default))

    def _head(self, key: bytes) -> bytes | None:
        head = self._of(key).head
        return None if head is None else b"%b %d" % (head.epoch.encode(), head.offset)

    def end_life(self, call: Call) -> Reply:
        """The answer of Redis to SERVER_DOUBT: the next read begins a life, with the epoch `next_epoch`."""
        assert call.words == [LIFE.encode()]
        self.life, self.next_epoch = "after", "after-1"
        return 1

    def read(self, call: Call) -> Reply:
        """The answer of Redis to HISTORY_READ."""
        _, head, _ = call.keys
        log = self._of(head)
        if log.head is None or (self.life is not None and not log.head.epoch.startswith(self.life)):
            log.head = Position(self.next_epoch, 0 if log.head is None else log.head.offset)
        lowest, count = int(call.words[0]), int(call.words[2])
        entries = [[b"%d-0" % n, [b"m", message_envelope()]] for n in log.kept if n >= lowest][:count]
        return [self._head(head), entries, 0]


class TrackerDriver:
    """A ChannelTracker that a test drives. It records deliveries by channel: offsets, and resets as EPOCH/OFFSET."""

    def __init__(self, *, history_size: int = 100) -> None:
        self.history_redis = ScriptedHistory()
        self.history = HistoryReader(self.history_redis, KEYSPACE, HistoryRules(history_size, 300))
        self.tracker = ChannelTracker(self.history, self, clock=manual_clock(), deliver=self._deliver)
        self.proofs: list[asyncio.Future[bool]] = []
        self.proof_partitions: list[int] = []
        self._delivered: list[tuple[str, int | str]] = []
        self._names: dict[bytes, str] = {}

    def send_barrier(self, partition: int) -> "asyncio.Future[bool]":
        """Stands in for the link: the test decides the outcome of each proof."""
        self.proof_partitions.append(partition)
        self.proofs.append(asyncio.get_running_loop().create_future())
        return self.proofs[-1]

    def _deliver(self, deliveries: Deliveries) -> None:
        for address, publication in deliveries:
            what = f"{publication.epoch}/{publication.offset}" if publication.resets else publication.offset
            self._delivered.append((address.decode().rpartition(":")[2], what))

    def follow(self, channel: Channel, *, at: int | None) -> None:
        """Follow a channel as a join does. `at`: the head that the join has read, in `EPOCH`."""
        self.tracker.follow(channel)
        if at is not None:
            self.tracker.start_at(channel, Position(EPOCH, at))

    def deliver_batch(self, channel: Channel, *offsets: int, epoch: str = EPOCH) -> None:
        """Deliver these messages in one batch of the link."""
        self.tracker.deliver_batch([(channel.address, message_payload(offset, epoch)) for offset in offsets])

    def delivered(self) -> list[int | str]:
        """Deliveries since the last call, without their channels."""
        return [what for _, what in self.delivered_with_channel()]

    def delivered_with_channel(self) -> list[tuple[str, int | str]]:
        delivered, self._delivered = self._delivered, []
        return delivered

    def statistic(self, what: str) -> int | float:
        value: int | float = getattr(self.tracker.statistics(), what)
        return value

    @property
    def reads(self) -> list[int]:
        """The lowest offset of each read of a log."""
        return [int(words[0]) for words in self.history_redis.arguments_of(HISTORY_READ)]
