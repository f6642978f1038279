"""The services of one node on manual time, over a scripted Redis and a scripted link: no socket, no process."""

import math
from collections.abc import Sequence

import orjson
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
from tannoy.fanout.redis.connection import Reply
from tannoy.fanout.scripts import (
    LEASE_ACQUIRE,
    LEASE_LIST,
    LEASE_RELEASE,
    LEASE_REPAIR,
    PRESENCE_CHECK,
    PRESENCE_JOIN,
    PRESENCE_LEAVE,
    PRESENCE_LIST,
    REMEMBER_GONE,
)
from tannoy.fanout.server_life import ServerLives
from tannoy.fanout.streams.producing import DEFAULT_STREAM_RULES, StreamProducing
from tannoy.node.admission.owner_rates import OwnerRates
from tannoy.node.admission.rate_limits import SessionRates
from tannoy.node.connections.bus_status import BusStatus
from tannoy.node.connections.context import CommandContext, ConnectionContext, ConnectionCounters, JoinContext
from tannoy.node.connections.control_handler import Answer, ControlHandler
from tannoy.node.connections.join_turns import JoinTurns
from tannoy.node.connections.session_limits import SessionLeases
from tannoy.node.connections.session_log import SessionLog
from tannoy.node.connections.timers import TimerWheel
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.outbox import OutboxLimits
from tannoy.node.delivery.relay import Relay
from tannoy.node.delivery.reports import SocketReports
from tannoy.node.delivery.stream_delivery import StreamTables
from tannoy.node.operations.history import HistoryQueries
from tannoy.node.operations.pages import page_bytes, page_turns
from tannoy.node.operations.presence import PresenceQueries
from tannoy.node.operations.publishing import Publishing
from tannoy.node.protocols.session import Endpoint, NodeTerms
from tannoy.shared.channels import Channel, Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, NodeId, RoomName
from tannoy.shared.policy import Limit, LimitMode, LimitPolicy, SlowPolicy
from tannoy.shared.publication import Position

from tests.support.clock import manual_clock, turns
from tests.support.records import NODE
from tests.support.scripted_history import EPOCH, ScriptedHistory, message_payload
from tests.support.scripted_redis import Call, ScriptedLink, ScriptedPipeline, ScriptedPublisher

PING_INTERVAL = 25
MESSAGE_MAX_BYTES = 65_536
KEYSPACE = Keyspace("tannoy")
ROOM = KEYSPACE.room(RoomName("lobby"))
AGENT = KEYSPACE.agent(AgentId("42"))
OWNER = Owner(OwnerKind.AGENT, "42")
HOMES: dict[Endpoint, Channel | None] = {Endpoint.ROOMS: None, Endpoint.ROOM: ROOM, Endpoint.AGENT: AGENT}
VERSION = 7
PRESENCE_FIELDS = {"users_count": 60, "version": VERSION}
"""The presence of every room: too many users to be listed."""
GENERATION = b"1795000000000000"
HEAD = Position(EPOCH, 40)
"""The head of every channel at first; its messages are not kept any more."""
HEAD_FIELDS = HEAD.as_fields()


def join_reply(call: Call) -> Reply:
    """The presence of the room and, if it was asked for, the head of its history."""
    return [VERSION, 60, None, f"{HEAD.epoch} {HEAD.offset}".encode() if call.words[-1] == b"1" else None]


def unlimited_redis() -> ScriptedPipeline:
    """A Redis that grants every lease, and answers presence of every room with `PRESENCE_FIELDS`."""
    redis = ScriptedPipeline()
    redis.reply_with(PRESENCE_JOIN, join_reply)
    redis.reply_with(PRESENCE_LEAVE, 1)
    redis.reply_with(PRESENCE_LIST, [VERSION, 0, 0, []])
    redis.reply_with(PRESENCE_CHECK, [1, 0])
    redis.reply_with(LEASE_ACQUIRE, [b"held", GENERATION])
    redis.reply_with(LEASE_RELEASE, b"")
    redis.reply_with(LEASE_REPAIR, [[], [], []])
    redis.reply_with(LEASE_LIST, [10, b"reject", []])
    redis.reply_with(REMEMBER_GONE, [])
    redis.reply_with("SMEMBERS", [])
    redis.reply_with("ZRANGE", [])
    return redis


class UnitNode:
    """The services of one node. Its heartbeat is valid until `expire_heartbeat`. No barrier looks for holes."""

    def __init__(
        self,
        *,
        policy: SlowPolicy = SlowPolicy.DISCONNECT,
        outbox_max_bytes: int = 10_000,
        mode: LimitMode = LimitMode.STRICT,
        user_max_sessions: int = 0,
        history_size: int = 100,
        slice_size: int = 4096,
        rates: SessionRates | None = None,
        owner_rates: Sequence[OwnerRates] = (),
    ) -> None:
        self.clock = manual_clock()
        self.link = ScriptedLink(self.clock)
        self.publisher = ScriptedPublisher(KEYSPACE)
        self.redis = unlimited_redis()
        self.history_redis = ScriptedHistory(HEAD)
        self.hub = Hub()
        self.reports = SocketReports(self.hub, self.clock)
        self.relay = Relay(
            self.hub,
            pause_link=self.link.pause_reading,
            resume_link=self.link.resume_reading,
            fence_if_expired=lambda: self.leases.fence_if_expired(),
            record_outcome=self.reports.record,
            streams=StreamTables(lambda channel, stream_id: None, lambda: 0.0, lambda roster: None),
            slice_size=slice_size,
        )
        self.history = HistoryReader(self.history_redis, KEYSPACE, HistoryRules(history_size, 300))
        self.tracker = ChannelTracker(self.history, self.link, clock=self.clock, deliver=self.relay.deliver)
        self.subscriptions = ChannelSubscriptions(self.link, on_dropped=self.tracker.drop)
        self.link.on_confirmed = self.subscriptions.confirm
        self.wheel = TimerWheel(self.clock)
        self.bus_status = BusStatus()
        self.control = Control(
            KEYSPACE,
            self.publisher,
            incarnation="me",
            secret=b"",
            clock=self.clock,
            answer_request=self._handle_request,
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
        self.page_turns = page_turns(self.history_redis.connected.is_set)
        self.context = ConnectionContext(
            verifier=None,
            terms=NodeTerms(NodeId("n1"), PING_INTERVAL, MESSAGE_MAX_BYTES),
            hub=self.hub,
            session_leases=self.session_leases,
            session_log=SessionLog(self.clock),
            bus_status=self.bus_status,
            wheel=self.wheel,
            clock=self.clock,
            outbox_limits=self.outbox_limits,
            joins=JoinContext(
                hub=self.hub,
                subscriptions=self.subscriptions,
                tracker=self.tracker,
                history=self.history,
                presence=self.presence,
                turns=JoinTurns(self.clock, is_open=self.redis.connected.is_set),
                look_at_streams=lambda channel: None,
                page_turns=self.page_turns,
                inline_max=50,
                recover_max_bytes=outbox_max_bytes,
                admits_without_bus=self.leases.admits_without_bus,
            ),
            commands=CommandContext(
                publishing=Publishing(self.publisher, self.control, self.clock),
                history_queries=HistoryQueries(
                    self.history, self.page_turns, page_max_bytes=page_bytes(outbox_max_bytes)
                ),
                presence_queries=PresenceQueries(
                    self.presence,
                    self.limits,
                    self.page_turns,
                    listed_max=1000,
                    page_max_bytes=page_bytes(outbox_max_bytes),
                ),
                streams=StreamProducing(
                    self.redis, KEYSPACE, HistoryRules(history_size, 300), DEFAULT_STREAM_RULES, self.clock
                ),
                clock=self.clock,
                counters=self.counters,
                rates=rates,
                owner_rates=owner_rates,
            ),
            counters=self.counters,
        )
        self.link.acknowledge()

    def _handle_request(self, request: Request) -> Answer:
        return self.control_handler.handle_request(request)

    async def acknowledge(self) -> None:
        """Let the link send what it has, let Redis acknowledge it, and run what follows."""
        await turns(1)
        self.link.acknowledge()
        await turns()

    def deliver_batch(self, channel: Channel, *offsets: int, epoch: str = EPOCH) -> None:
        """Deliver these messages of the channel in one batch of the link."""
        self.tracker.deliver_batch([(channel.address, message_payload(offset, epoch)) for offset in offsets])

    def expire_heartbeat(self) -> None:
        """Let the heartbeat expire, as after a freeze; the timer of its expiry has not fired yet."""
        self.membership.valid_until = self.clock.monotonic()

    def fire_expiry_timer(self) -> None:
        """Fire the timer of the heartbeat's expiry."""
        self.membership.fence_if_expired()

    def presence_numbers(self, script: object) -> list[int]:
        """Return the numbers of the presences that were joined (PRESENCE_JOIN) or left (PRESENCE_LEAVE)."""
        at = 3 if script is PRESENCE_JOIN else 2
        return [int(call.words[at]) for call in self.redis.calls if call.what is script]

    def released_leases(self) -> list[bytes]:
        return [words[0] for words in self.redis.arguments_of(LEASE_RELEASE)]

    def remembered_disconnects(self) -> list[tuple[object, object, object]]:
        """Return code, rule and count of each disconnect, once for each owner for whom it is remembered."""
        disconnects = [orjson.loads(words[0]) for words in self.redis.arguments_of(REMEMBER_GONE)]
        return [(each["code"], each["rule"], each["count"]) for each in disconnects]
