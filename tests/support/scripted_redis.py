"""Link, publisher and pipeline without a connection: subclasses of the real ones whose answers the test gives."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tannoy.fanout.history.publisher import Published, Publisher
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.pubsub.envelope import pack_publication
from tannoy.fanout.pubsub.link import Link
from tannoy.fanout.pubsub.link_state import Batch, LinkState
from tannoy.fanout.redis.connection import Pushes, RedisConnection, Reply, Word, pack
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import (
    HEAD_RELEASE,
    HEARTBEAT,
    LEASE_ACQUIRE,
    LEASE_RELEASE,
    PRESENCE_DUE,
    PRESENCE_JOIN,
    PRESENCE_LEAVE,
    PRESENCE_SWEEP,
)
from tannoy.shared.channels import Channel
from tannoy.shared.clock import Clock
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.publication import Position, Publication

from tests.support.memory_redis import NOWHERE, read_commands

ECHO = b"test:echo"


def _ignore(channels: list[bytes]) -> None: ...


def data_to_send(state: LinkState) -> bytes:
    """The bytes that the link would write now."""
    return b"".join(pack((verb, *channels)) for verb, channels in state.commands_to_send())


class RecordingListener:
    """A LinkListener that records the calls of a link."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[bytes, bytes]] = []
        self.subscribed: list[bytes] = []
        self.times_live = 0

    def deliver_batch(self, batch: Batch) -> None:
        self.deliveries += batch

    def on_subscribed(self, channels: list[bytes]) -> None:
        self.subscribed += channels

    def on_live(self) -> None:
        self.times_live += 1


class ScriptedLink(Link):
    """A Link that never connects: the test plays Redis."""

    def __init__(self, clock: Clock, on_confirmed: Callable[[list[bytes]], None] | None = None) -> None:
        self.on_confirmed: Callable[[list[bytes]], None] = on_confirmed or _ignore
        super().__init__(
            NOWHERE,
            name="test",
            echo_channel=ECHO,
            clock=clock,
            listener=RecordingListener(),
            publish_barrier=Pipeline(NOWHERE, name="test", scripts=()).publish,
        )
        self.subscribed: set[bytes] = set()
        """The channels that Redis has subscribed for this link."""
        self._asked: list[tuple[str, bytes]] = []
        self.connect()

    def connect(self) -> None:
        self.state.on_connected(self._clock.monotonic())
        self._down_since = None

    def disconnect(self) -> None:
        """Lose the connection, and with it all subscriptions in Redis."""
        self.state.on_disconnected()
        self._asked.clear()
        self.subscribed.clear()

    def _flush(self) -> None:
        super()._flush()
        commands = read_commands(data_to_send(self.state))
        self._asked += [(command[0].decode(), channel) for command in commands for channel in command[1:]]

    def acknowledge(self, count: int | None = None) -> list[tuple[str, bytes]]:
        """Let Redis execute all commands of the link, or the first `count`; returns them."""
        self._flush()
        asked, self._asked = self._asked[:count], self._asked[len(self._asked[:count]) :]
        pushes: Pushes = []
        for verb, channel in asked:
            (self.subscribed.add if verb == "SUBSCRIBE" else self.subscribed.discard)(channel)
            pushes.append([verb.lower().encode(), channel, len(self.subscribed)])
        self.on_confirmed(self.state.handle_pushes(pushes).subscribed)
        return asked


class ScriptedPublisher(Publisher):
    """A Publisher that records each publish; the test confirms it."""

    def __init__(self, keyspace: Keyspace) -> None:
        super().__init__(Pipeline(NOWHERE, name="test", scripts=()), keyspace, HistoryRules(100, 300))
        self.sent: list[tuple[bytes, bytes, str | None]] = []
        """(address, payload, key) of each publish."""
        self.published: list[Publication] = []
        """Those publishes that went to channels of rooms and agents."""
        self.confirmations: list[asyncio.Future[Any]] = []
        """Results that the test sets: of `publish` a position, or None without history; of `publish_telling` a
        Published; of `send` a number."""

    def publish(
        self, channel: Channel, publication: Publication, *, author: str = "", key: str | None = None
    ) -> asyncio.Future[Position | None]:
        self.published.append(publication)
        return self._record(channel.address, pack_publication(publication), key)

    def publish_telling(
        self, channel: Channel, publication: Publication, *, author: str = "", key: str | None = None
    ) -> asyncio.Future[Published]:
        self.published.append(publication)
        return self._record(channel.address, pack_publication(publication), key)

    def publish_unkept(self, channel: Channel, publication: Publication) -> asyncio.Future[Reply]:
        self.published.append(publication)
        return super().publish_unkept(channel, publication)

    def send(self, address: bytes, payload: bytes) -> asyncio.Future[Reply]:
        return self._record(address, payload, None)

    def _record(self, address: bytes, payload: bytes, key: str | None) -> asyncio.Future[Any]:
        self.sent.append((address, payload, key))
        self.confirmations.append(asyncio.get_running_loop().create_future())
        return self.confirmations[-1]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a script, or of a command (`what`: its verb). `words`: the arguments as Redis reads them."""

    what: Script | str
    keys: tuple[bytes, ...]
    words: list[bytes]


Answer = Reply | Callable[[Call], Reply]
BATCHED = {
    HEAD_RELEASE: (1, 1, 1),
    HEARTBEAT: (2, 2, 2),
    LEASE_ACQUIRE: (8, 6, 1),
    LEASE_RELEASE: (8, 2, 1),
    PRESENCE_DUE: (2, 0, 0),
    PRESENCE_JOIN: (12, 8, 4),
    PRESENCE_LEAVE: (10, 4, 4),
    PRESENCE_SWEEP: (8, 2, 3),
}
"""Scripts whose calls are sent together: KEYS and ARGV of each call, and the ARGV in front of them that all share."""


class ScriptedPipeline(Pipeline):
    """A Pipeline that never connects. It answers calls on the next turn of the event loop, as `reply_with` has set.

    The calls of a batch are recorded and answered one by one; the batch is answered when all of them are.
    """

    def __init__(self) -> None:
        super().__init__(NOWHERE, name="test", scripts=())
        self.calls: list[Call] = []
        self.connected.set()
        self.unconfirmed_for = 0.0
        self._asked_for: list[RedisConnection] = []
        self._replies: dict[Script | str, Answer] = {}
        self._next: dict[Script | str, list[Answer]] = {}
        self._held: dict[Script | str, list[tuple[Call, asyncio.Future[Reply]]]] = {}
        self._refused: set[Script | str] = set()
        self._shared_words: list[tuple[Script, list[bytes]]] = []

    # ---- Pipeline

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        if script not in BATCHED:
            return self._ask(Call(script, keys, words(arguments)))
        keys_of_each, words_of_each, shared = BATCHED[script]
        self._shared_words.append((script, words(arguments[:shared])))
        calls = [
            Call(
                script,
                keys[at * keys_of_each : (at + 1) * keys_of_each],
                words(arguments[shared + at * words_of_each : shared + (at + 1) * words_of_each]),
            )
            for at in range(len(keys) // keys_of_each)
        ]
        return asyncio.gather(*map(self._ask, calls))

    def connection_for(self, partition: int) -> RedisConnection:
        """Its server was confirmed `unconfirmed_for` seconds ago."""
        connection = RedisConnection(lambda pushes: None)
        connection.confirmed_at -= self.unconfirmed_for
        self._asked_for.append(connection)
        return connection

    def confirm(self) -> None:
        """The server of the connections that were asked for is confirmed, as of now."""
        for connection in self._asked_for:
            connection.confirmed_at = asyncio.get_running_loop().time()

    def send(self, *command: Word) -> asyncio.Future[Reply]:
        verb, *rest = command
        return self._ask(Call(str(verb), (), words(rest)))

    def _ask(self, call: Call) -> asyncio.Future[Reply]:
        self.calls.append(call)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if call.what in self._held:
            self._held[call.what].append((call, answer))
        else:
            asyncio.get_running_loop().call_soon(self._answer, call, answer)
        return answer

    def _answer(self, call: Call, answer: asyncio.Future[Reply]) -> None:
        if answer.done():
            return
        if call.what in self._refused or not self.connected.is_set():
            answer.set_exception(Unavailable("the bus did not confirm in time"))
            return
        following = self._next.get(call.what)
        reply_or_function = following.pop(0) if following else self._replies[call.what]
        reply = reply_or_function(call) if callable(reply_or_function) else reply_or_function
        if isinstance(reply, Unavailable):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    # ---- what a test does and sees

    def reply_with(self, what: Script | str, *following: Answer) -> None:
        """Answer the next calls with these, one each, and all later calls with the last. Unavailable is raised."""
        *first, self._replies[what] = following
        self._next[what] = first

    def leave_unconfirmed(self, *what: Script | str) -> None:
        """Fail these calls with Unavailable from now on, as if their answers were lost."""
        self._refused.update(what)

    def confirm_again(self, *what: Script | str) -> None:
        self._refused.difference_update(what)

    def disconnect(self) -> None:
        """Lose the connection, and with it every outstanding answer."""
        self.connected.clear()

    def connect(self) -> None:
        self.connected.set()

    def hold(self, *what: Script | str) -> None:
        """Hold back the answers to these calls until `answer_held`."""
        for each in what:
            self._held.setdefault(each, [])

    def answer_held(self, what: Script | str, count: int | None = None) -> None:
        """Answer all held calls and hold no more; or the first `count`, and go on holding."""
        held = self._held.pop(what)
        if count is not None:
            self._held[what] = held[count:]
        for call, answer in held[:count]:
            self._answer(call, answer)

    def arguments_of(self, what: Script | str) -> list[list[bytes]]:
        """The arguments of every call of it."""
        return [call.words for call in self.calls if call.what == what]

    def shared_words_of(self, script: Script) -> list[list[bytes]]:
        """The words that the calls of a batch share, of every batch."""
        return [shared for each, shared in self._shared_words if each == script]


def words(command: Sequence[Word]) -> list[bytes]:
    """The words of a command as Redis reads them."""
    return [word if isinstance(word, bytes) else str(word).encode() for word in command]
