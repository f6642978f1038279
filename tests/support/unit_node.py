"""A Connection with everything it stands on: a recording transport below, a bus in the test's hand above."""

import math
from typing import Any

from tannoy.fanout.control.control import Control
from tannoy.fanout.control.requests import Request
from tannoy.fanout.disconnects import DisconnectLog
from tannoy.fanout.history.reader import HistoryReader, HistoryRules
from tannoy.fanout.history.tracker import ChannelTracker
from tannoy.fanout.leases.calls import LeaseCalls
from tannoy.fanout.leases.limits import Limits
from tannoy.fanout.leases.manager import LeaseManager
from tannoy.fanout.membership import Membership
from tannoy.fanout.presence.calls import PresenceRules
from tannoy.fanout.presence.presence import Presence
from tannoy.fanout.pubsub.subscriptions import ChannelSubscriptions
from tannoy.fanout.scripts import (
    LEASE_ACQUIRE,
    LEASE_LIST,
    LEASE_RELEASE,
    LEASE_REPAIR,
    PRESENCE_JOIN,
    PRESENCE_LEAVE,
    PRESENCE_LIST,
    REMEMBER_GONE,
)
from tannoy.fanout.server_life import ServerLives
from tannoy.node.connections.connection import Connection
from tannoy.node.connections.context import CommandContext, ConnectionContext, ConnectionCounters, JoinContext
from tannoy.node.connections.control_handler import ControlHandler
from tannoy.node.connections.session_limits import SessionLeases
from tannoy.node.connections.timers import TimerWheel
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.outbox import OutboxLimits
from tannoy.node.delivery.relay import Relay
from tannoy.node.operations.presence import PresenceQueries
from tannoy.node.operations.publishing import Publishing
from tannoy.node.protocols.encoding import encoding_of
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.shared.channels import Channel, Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, NodeId, RoomName, SessionId, UserId
from tannoy.shared.policy import Limit, LimitMode, LimitPolicy, SlowPolicy
from tannoy.shared.protocol.codec import JSON, WireFormat
from tannoy.shared.protocol.frames import Author
from tannoy.shared.publication import EncodedMessage, Position
from tannoy.shared.sessions import SessionInfo

from tests.support.clock import manual_clock
from tests.support.recording_transport import RecordingTransport, split_frames
from tests.support.records import NODE
from tests.support.scripted_history import EPOCH, ScriptedHistory, message_payload
from tests.support.scripted_redis import ScriptedLink, ScriptedPipeline, ScriptedPublisher

PING_INTERVAL = 25
KEYSPACE = Keyspace("tannoy")
ROOM = KEYSPACE.room(RoomName("lobby"))
AGENT = KEYSPACE.agent(AgentId("42"))
OWNER = Owner(OwnerKind.AGENT, "42")
HOMES: dict[Endpoint, Channel | None] = {Endpoint.ROOMS: None, Endpoint.ROOM: ROOM, Endpoint.AGENT: AGENT}
VERSION = 7
ROLL = {"users_count": 60, "version": VERSION}
"""What every newcomer is told of its room: too many to be listed."""
GENERATION = b"1795000000000000"
HEAD = Position(EPOCH, 40)
"""Where every channel is, until a test says otherwise; nothing of it is kept."""


def counting_redis() -> ScriptedPipeline:
    """Where there is always a place, and every room has its `ROLL`."""
    redis = ScriptedPipeline()
    redis.reply_with(PRESENCE_JOIN, [VERSION, 60, None])
    redis.reply_with(PRESENCE_LEAVE, 1)
    redis.reply_with(PRESENCE_LIST, [VERSION, 0, 0, []])
    redis.reply_with(LEASE_ACQUIRE, [b"held", GENERATION])
    redis.reply_with(LEASE_RELEASE, b"")
    redis.reply_with(LEASE_REPAIR, [[], [], []])
    redis.reply_with(LEASE_LIST, [10, b"reject", []])
    redis.reply_with(REMEMBER_GONE, 1)
    redis.reply_with("SMEMBERS", [])
    return redis


class House:
    """The services of one node, on manual time. Its heartbeat holds until `fence`. No barrier looks for holes."""

    def __init__(
        self,
        *,
        policy: SlowPolicy = SlowPolicy.DISCONNECT,
        outbox_max_bytes: int = 10_000,
        mode: LimitMode = LimitMode.STRICT,
        user_max_sessions: int = 0,
        history_size: int = 100,
        slice_size: int = 4096,
    ) -> None:
        self.clock = manual_clock()
        self.link = ScriptedLink(self.clock)
        self.publisher = ScriptedPublisher(KEYSPACE)
        self.redis = counting_redis()
        self.past = ScriptedHistory(HEAD)
        self.hub = Hub()
        self.relay = Relay(
            self.hub,
            pause_link=self.link.pause_reading,
            resume_link=self.link.resume_reading,
            fence_if_expired=lambda: self.leases.fence_if_expired(),
            slice_size=slice_size,
        )
        self.history = HistoryReader(self.past, KEYSPACE, HistoryRules(history_size, 300))
        self.tracker = ChannelTracker(self.history, self.link, clock=self.clock, deliver=self.relay.deliver)
        self.subscriptions = ChannelSubscriptions(self.link, on_dropped=self.tracker.drop)
        self.link.on_confirmed = self.subscriptions.confirm
        self.wheel = TimerWheel(self.clock)
        self.control = Control(
            KEYSPACE,
            self.publisher,
            incarnation="me",
            secret=b"",
            answer_request=self._answer,
            is_listening=lambda: True,
        )
        self.membership = Membership(
            KEYSPACE,
            ServerLives(KEYSPACE, clock=self.clock),
            incarnation="me",
            clock=self.clock,
            describe=lambda: NODE,
        )
        self.membership.valid_until = math.inf
        defaults = {
            OwnerKind.AGENT: Limit(10, LimitPolicy.REJECT),
            OwnerKind.USER: Limit(user_max_sessions, LimitPolicy.REJECT),
        }
        calls = LeaseCalls(self.redis, KEYSPACE, incarnation="me")
        send_notice = self.control.send_notice
        self.limits = Limits(calls, defaults=defaults, send_notice=send_notice)
        self.leases = LeaseManager(
            calls, self.membership, incarnation="me", limits=self.limits, mode=mode, send_notice=send_notice
        )
        self.membership.attach(self.leases)
        self.control.attach(self.leases)
        self.presence = Presence(self.redis, KEYSPACE, incarnation="me", rules=PresenceRules(50, 1000, 5.0))
        self.disconnects = DisconnectLog(self.redis, KEYSPACE)
        self.session_leases = SessionLeases(
            self.leases, self.limits, self.disconnects, node_id=NodeId("n1"), clock=self.clock
        )
        self.control_handler = ControlHandler(self.hub, KEYSPACE, self.session_leases)
        self.counters = ConnectionCounters()
        self.outbox_limits = OutboxLimits(outbox_max_bytes, policy)
        self.context = ConnectionContext(
            node_id=NodeId("n1"),
            hub=self.hub,
            tracker=self.tracker,
            session_leases=self.session_leases,
            wheel=self.wheel,
            clock=self.clock,
            outbox_limits=self.outbox_limits,
            ping_interval=PING_INTERVAL,
            joins=JoinContext(
                hub=self.hub,
                subscriptions=self.subscriptions,
                tracker=self.tracker,
                history=self.history,
                presence=self.presence,
                recover_max_bytes=outbox_max_bytes,
                admits_without_bus=self.leases.admits_without_bus,
            ),
            commands=CommandContext(
                publishing=Publishing(self.publisher, self.control, self.clock),
                history=self.history,
                presence_queries=PresenceQueries(self.presence, self.limits, listed_max=1000),
                clock=self.clock,
                counters=self.counters,
            ),
            counters=self.counters,
        )
        self.link.acknowledge()

    def _answer(self, question: Request) -> tuple[int, tuple[SessionInfo, ...]]:
        return self.control_handler.handle_request(question)

    def bring(self, channel: Channel, *offsets: int, epoch: str = EPOCH) -> None:
        """The link brings these messages of the channel, in one batch."""
        self.tracker.deliver_batch([(channel.address, message_payload(offset, epoch)) for offset in offsets])

    def reach_expiry(self) -> None:
        """The heartbeat expires, as after a freeze; the timer of its expiry has not fired yet."""
        self.membership.valid_until = self.clock.monotonic()

    def fire_expiry_timer(self) -> None:
        """The timer of the heartbeat's expiry fires."""
        self.membership.fence_if_expired()


class Desk:
    """One connection of a house, with `say` and `heard` in objects. Opened at once; `welcome` awaits its home."""

    def __init__(
        self,
        house: House,
        endpoint: Endpoint = Endpoint.ROOMS,
        *,
        wire: WireFormat = JSON,
        session_id: str = "s1",
        user_id: str = "ada",
        high_water: int | None = None,
        hands_over: bool = True,
        opening: bytes = b"",
        recover: Position | None = None,
    ) -> None:
        self.house = house
        self.wire = wire
        self.transport = RecordingTransport(high_water=high_water, hands_over=hands_over)
        author = Author(UserId(user_id), user_id.title(), SessionId(session_id))
        session = Session(endpoint, author, HOMES[endpoint], KEYSPACE, recover=recover)
        self.connection = Connection(house.context, self.transport, session, encoding_of(wire, self.transport.framing))
        self.transport.listener = self.connection
        self.transport.opening = opening
        self.connection.on_opened()

    def say(self, **fields: object) -> None:
        """The client sends one command."""
        self.connection.on_message(self.wire.encode(fields), self.wire.binary)

    def say_raw(self, payload: bytes, *, binary: bool = False) -> None:
        self.connection.on_message(payload, binary)

    def heard(self) -> list[dict[str, Any]]:
        """What the client has got since it last asked."""
        return self.transport.take()

    def hear_from_room(self, size: int) -> None:
        """Something of so many bytes is said in a channel that the connection is in."""
        ready = EncodedMessage(b'"' + b"x" * (size - 2) + b'"', b"")
        self.connection.outbox.write(self.connection.encoding.encoded(ready))

    @property
    def published(self) -> list[dict[str, Any]]:
        """The objects that went to the bus, as their receivers will get them."""
        return [self._object(publication.encoded.json) for publication in self.house.publisher.published]

    def _object(self, data: bytes) -> dict[str, Any]:
        value = JSON.decode(data)
        assert isinstance(value, dict)
        return value  # pyright: ignore[reportUnknownVariableType]  # what JSON holds is not known

    @property
    def opcodes(self) -> list[int]:
        return [int(opcode) for opcode, _ in split_frames(self.transport.stream)]
