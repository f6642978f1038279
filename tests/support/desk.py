"""A Connection with everything it stands on: a recording carrier below, a bus in the test's hand above."""

from typing import Any

from tannoy.fanout.control import Control
from tannoy.fanout.subscriber import Subscriber
from tannoy.node.connection import Connection
from tannoy.node.frames import split_frames
from tannoy.node.framing import frame_ready
from tannoy.node.hub import Hub
from tannoy.node.outbox import OutboxLimits
from tannoy.node.services import Services
from tannoy.node.session import Endpoint, Session
from tannoy.node.timers import TimerWheel
from tannoy.shared.channels import Channel, Channels
from tannoy.shared.codec import JSON, WireFormat, unpack_publication
from tannoy.shared.messages import Author, ReadyBytes
from tannoy.shared.names import AgentId, NodeId, RoomName, SessionId, UserId
from tannoy.shared.policy import SlowPolicy

from tests.support.bus import ScriptedLink, ScriptedPublisher
from tests.support.carrier import RecordingCarrier
from tests.support.clock import manual_clock

PING_INTERVAL = 25
CHANNELS = Channels("tannoy")
ROOM = CHANNELS.room(RoomName("lobby"))
AGENT = CHANNELS.agent(AgentId("42"))
HOMES: dict[Endpoint, Channel | None] = {Endpoint.ROOMS: None, Endpoint.ROOM: ROOM, Endpoint.AGENT: AGENT}


class House:
    """The services of one node, on manual time."""

    def __init__(self, *, policy: SlowPolicy = SlowPolicy.DISCONNECT, outbox_max_bytes: int = 10_000) -> None:
        self.clock = manual_clock()
        self.link = ScriptedLink(self.clock)
        self.publisher = ScriptedPublisher(CHANNELS)
        self.hub = Hub()
        self.subscriber = Subscriber(self.link)
        self.link.on_confirmed = self.subscriber.confirmed
        self.wheel = TimerWheel(self.clock)
        self.services = Services(
            node_id=NodeId("n1"),
            hub=self.hub,
            subscriber=self.subscriber,
            publisher=self.publisher,
            control=Control(
                CHANNELS,
                self.publisher,
                incarnation="me",
                secret=b"",
                execute=lambda order: 0,
                is_listening=lambda: True,
            ),
            wheel=self.wheel,
            clock=self.clock,
            limits=OutboxLimits(outbox_max_bytes, policy),
            ping_interval=PING_INTERVAL,
        )
        self.link.acknowledge()


class Desk:
    """One connection of a house, with `say` and `heard` in objects. Opened at once; `welcomed` awaits its home."""

    def __init__(
        self,
        house: House,
        endpoint: Endpoint = Endpoint.ROOMS,
        *,
        wire: WireFormat = JSON,
        session_id: str = "s1",
        high_water: int | None = None,
    ) -> None:
        self.house = house
        self.wire = wire
        self.carrier = RecordingCarrier(high_water=high_water)
        author = Author(UserId("ada"), "Ada", SessionId(session_id))
        self.connection = Connection(
            house.services, self.carrier, Session(endpoint, author, HOMES[endpoint], CHANNELS), wire
        )
        self.carrier.carried = self.connection
        self.connection.opened()

    def say(self, **fields: object) -> None:
        """The client sends one command."""
        self.connection.received(self.wire.encode(fields), self.wire.binary)

    def say_raw(self, payload: bytes, *, binary: bool = False) -> None:
        self.connection.received(payload, binary)

    def heard(self) -> list[dict[str, Any]]:
        """What the client has got since it last asked."""
        return self.carrier.take()

    def hear_from_room(self, size: int) -> None:
        """Something of so many bytes is said in a channel that the connection is in."""
        ready = ReadyBytes(b'"' + b"x" * (size - 2) + b'"', b"")
        self.connection.outbox.write(frame_ready(ready, JSON))

    @property
    def published(self) -> list[dict[str, Any]]:
        """The objects that went to the bus, as their receivers will get them."""
        return [self._object(unpack_publication(payload).ready.json) for _, payload, _ in self.house.publisher.sent]

    def _object(self, data: bytes) -> dict[str, Any]:
        value = JSON.decode(data)
        assert isinstance(value, dict)
        return value  # pyright: ignore[reportUnknownVariableType]  # what JSON holds is not known

    @property
    def opcodes(self) -> list[int]:
        return [int(opcode) for opcode, _ in split_frames(self.carrier.stream)]
