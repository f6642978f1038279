"""LinkState against a model of Redis: after any subscriptions, losses, late answers and revocations both agree."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tannoy.fanout.pubsub.link_state import LinkState
from tannoy.fanout.redis.connection import Pushes

from tests.support.memory_redis import read_commands
from tests.support.scripted_redis import data_to_send

ECHO = b"echo"
KEYSPACE = [b"a", b"b", b"c"]
channels = st.sampled_from(KEYSPACE)


class ModelRedis:
    """Redis' end of one connection: commands are executed in order and answered in order, at any time."""

    def __init__(self) -> None:
        self.inbox: deque[tuple[bytes, bytes]] = deque()
        self.outbox: deque[list[bytes]] = deque()
        self.subscribed: set[bytes] = set()

    def execute(self) -> None:
        verb, channel = self.inbox.popleft()
        (self.subscribed.add if verb == b"SUBSCRIBE" else self.subscribed.discard)(channel)
        self.outbox.append([verb.lower(), channel, b"0"])

    def revoke(self, channel: bytes) -> None:
        self.subscribed.remove(channel)
        self.outbox.append([b"unsubscribe", channel, b"0"])

    def publish(self, channel: bytes, payload: bytes) -> None:
        if channel in self.subscribed:
            self.outbox.append([b"message", channel, payload])


class LinkMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = LinkState(ECHO)
        self.redis = ModelRedis()
        self.intent = {ECHO}
        self.revoked: set[bytes] = set()
        self.published = 0
        self.in_transit: list[tuple[bytes, bytes]] = []
        self.delivered: list[tuple[bytes, bytes]] = []

    # ---- the node

    @rule(channel=channels)
    def subscribe(self, channel: bytes) -> None:
        self.state.subscribe(channel)
        self.intent.add(channel)

    @rule(channel=channels)
    def unsubscribe(self, channel: bytes) -> None:
        self.state.unsubscribe(channel)
        self.intent.discard(channel)

    @rule()
    def flush(self) -> None:
        for verb, *named in read_commands(data_to_send(self.state)):
            self.redis.inbox.extend((verb, channel) for channel in named)

    # ---- the connection

    @precondition(lambda self: not self.state.connected)
    @rule()
    def connect(self) -> None:
        self.redis = ModelRedis()
        self.revoked.clear()
        self.state.on_connected(0.0)

    @precondition(lambda self: self.state.connected)
    @rule()
    def lose(self) -> None:
        self.redis = ModelRedis()
        self.state.on_disconnected()
        self.in_transit.clear()

    # ---- Redis

    @precondition(lambda self: self.redis.inbox)
    @rule(count=st.integers(1, 4))
    def execute(self, count: int) -> None:
        for _ in range(min(count, len(self.redis.inbox))):
            self.redis.execute()

    @precondition(lambda self: self.redis.outbox)
    @rule(count=st.integers(1, 5))
    def answer(self, count: int) -> None:
        pushes: Pushes = [self.redis.outbox.popleft() for _ in range(min(count, len(self.redis.outbox)))]
        events = self.state.handle_pushes(pushes)
        self.delivered += events.deliveries
        for channel in events.subscribed:
            assert channel in self.intent

    @rule(channel=channels)
    def publish(self, channel: bytes) -> None:
        self.published += 1
        if channel in self.redis.subscribed:
            self.in_transit.append((channel, b"%d" % self.published))
        self.redis.publish(channel, b"%d" % self.published)

    @precondition(lambda self: self.redis.subscribed)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        channel = data.draw(st.sampled_from(sorted(self.redis.subscribed)))
        self.revoked.add(channel)
        self.redis.revoke(channel)

    # ---- invariants

    @invariant()
    def wanted_channels_are_those_asked_for(self) -> None:
        assert self.state.wanted == self.intent

    @invariant()
    def acknowledged_channels_are_subscribed_at_redis(self) -> None:
        for channel in KEYSPACE:
            if self.state.is_subscribed(channel) and channel not in self.revoked:
                assert channel in self.redis.subscribed

    @invariant()
    def live_link_is_connected(self) -> None:
        assert self.state.connected or not self.state.is_live

    # ---- the end

    def teardown(self) -> None:
        if not self.state.connected:
            self.connect()
        for _ in range(20):
            self.flush()
            while self.redis.inbox:
                self.redis.execute()
            while self.redis.outbox:
                self.answer(5)
        assert data_to_send(self.state) == b""
        assert self.redis.subscribed == self.intent
        assert all(self.state.is_subscribed(channel) for channel in self.intent)
        assert self.delivered[len(self.delivered) - len(self.in_transit) :] == self.in_transit
        nonce = self.state.tick(0.0)
        if nonce:
            self.state.handle_pushes([[b"message", ECHO, nonce]])
            assert self.state.is_live


TestLink = LinkMachine.TestCase
TestLink.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
