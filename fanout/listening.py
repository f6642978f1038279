"""What comes in from the bus: the link, which channels it is subscribed to, and where each message is handed on to."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from ..shared.clock import Clock
from ..shared.keyspace import Keyspace
from .backend import RedisBackend
from .control.control import AnswerRequest, Control
from .control.requests import Notice
from .history.tracker import ChannelTracker, Deliveries
from .messaging import Messaging
from .pubsub.any_link import AnyLink
from .pubsub.link_state import Batch
from .pubsub.subscriptions import ChannelSubscriptions
from .timeouts import DEFAULT_TIMEOUTS, Timeouts

ENCODED_TIMES = 16
"""How much larger than what its author has sent a payload may be. At most it is seven times as large: once in msgpack,
and once in JSON, which writes a control character in six. The rest is for nodes that have another MESSAGE_MAX_BYTES."""
PRESENCE_MAX_BYTES = 1024 * 1024
"""For what is not sent by an author: a change of presence lists up to 1,000 users."""
STREAM_TIMES = 8
"""How much larger than its text the message of a stream that has ended may be, for the same reasons."""


NO_MESSAGES = "no messages come from Redis: the connection that brings them was lost, or Redis does not answer over it"
"""What is wrong while the link is not live."""


class LeaseGuard(Protocol):
    """What has to be asked before a batch is delivered, and what takes the notices of other nodes."""

    def fence_if_expired(self) -> bool: ...
    def handle_notice(self, notice: Notice) -> None: ...


class Listening:
    """Needs the tasks of `jobs` running. Is the LinkListener of its link.

    `deliver` gets messages of rooms and agents, in order and without holes; `answer_request` the requests of nodes.
    `message_max_bytes` is how much an author may send, `stream_max_bytes` how long the text of a stream may be.
    `on_live` is called when the link is there again, and each channel may have missed what is not in its history.
    """

    def __init__(
        self,
        backend: RedisBackend,
        keyspace: Keyspace,
        messaging: Messaging,
        *,
        incarnation: str,
        name: str,
        secret: bytes,
        clock: Clock,
        deliver: Callable[[Deliveries], None],
        answer_request: AnswerRequest,
        message_max_bytes: int,
        stream_max_bytes: int = 0,
        on_live: Callable[[], None] = lambda: None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        own = ENCODED_TIMES * message_max_bytes + STREAM_TIMES * stream_max_bytes
        self._payload_max_bytes = own + PRESENCE_MAX_BYTES
        self._on_live = on_live
        self._unreadable = backend.unreadable
        self.link: AnyLink = backend.link(
            name=f"tannoy-link-{name}",
            echo_channel=partial(keyspace.echo, incarnation),
            clock=clock,
            listener=self,
            reader=messaging.reading,
            payload_max_bytes=self._payload_max_bytes,
        )
        self.tracker = ChannelTracker(messaging.history, self.link, clock=clock, deliver=deliver)
        messaging.check_before_use(self.tracker.comparison.end_lost_epochs)
        self.subscriptions = ChannelSubscriptions(
            self.link, on_dropped=self.tracker.drop, acknowledge_timeout=timeouts.subscribe
        )
        self.control = Control(
            keyspace,
            messaging.publisher,
            incarnation=incarnation,
            secret=secret,
            clock=clock,
            answer_request=answer_request,
            is_listening=self.link.live.is_set,
            response_timeout=timeouts.response,
            report_timeout=timeouts.report,
        )
        self._control_channels = frozenset(self.control.channels)
        self._guard: LeaseGuard | None = None

    def attach(self, guard: LeaseGuard) -> None:
        """From now on nothing is delivered before `guard` has fenced; it gets the notices to this node."""
        self._guard = guard
        self.control.attach(guard)

    def subscribe_to_control(self) -> None:
        for channel in self.control.channels:
            self.link.subscribe(channel)

    @property
    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run, by name."""
        return {"link": self.link.run, "comparison": self.tracker.comparison.run}

    @property
    def not_ready_reason(self) -> str | None:
        """None: the link receives all that it is subscribed to."""
        return None if self.link.live.is_set() else NO_MESSAGES

    # ---- LinkListener

    def deliver_batch(self, batch: Batch) -> None:
        """Control messages go to `control`, all others to the tracker, in the order in which they came."""
        if self._guard is not None:
            self._guard.fence_if_expired()
        if self._control_channels.isdisjoint([channel for channel, _ in batch]):
            self.tracker.deliver_batch(self._without_oversized(batch))
            return
        deliveries = [delivery for delivery in batch if delivery[0] not in self._control_channels]
        self.tracker.deliver_batch(self._without_oversized(deliveries))
        for channel, payload in batch:
            if channel in self._control_channels:
                self.control.handle_message(channel, payload)

    def _without_oversized(self, batch: Batch) -> Batch:
        """Without payloads that no node has published. If one took the place of a message, that is a hole."""
        limit = self._payload_max_bytes
        if all(len(payload) <= limit for _, payload in batch):
            return batch
        for channel, payload in batch:
            if len(payload) > limit:
                self._unreadable.note(channel, payload)
                self.tracker.suspect(channel)
        return [delivery for delivery in batch if len(delivery[1]) <= limit]

    def on_subscribed(self, channels: list[bytes]) -> None:
        self.subscriptions.confirm(channels)

    def on_live(self) -> None:
        self.tracker.comparison.compare_partitions_soon()  # each channel may have missed messages meanwhile
        self._on_live()
