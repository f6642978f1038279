"""Members of a hub that record what is written to them, and a hub with its relay that a test drives."""

from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.outbox import Outbox, OutboxLimits
from tannoy.node.delivery.relay import Relay
from tannoy.node.delivery.stream_delivery import StreamTables
from tannoy.node.protocols.encoding import encoding_of
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.node.rfc6455 import Opcode, frame
from tannoy.shared.channels import Channel
from tannoy.shared.codes import CloseCode
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, SessionId, UserId
from tannoy.shared.policy import SlowPolicy
from tannoy.shared.protocol.codec import JSON, WireFormat
from tannoy.shared.protocol.frames import Author
from tannoy.shared.publication import EncodedMessage, Publication
from tannoy.shared.reports import SocketOutcome

from tests.support.recording_transport import RecordingTransport

LOBBY, KITCHEN = (Keyspace("tannoy").room(RoomName(name)) for name in ("lobby", "kitchen"))
LIMITS = OutboxLimits(1000, SlowPolicy.DISCONNECT)


class RecordingMember:
    """A Member of the hub over a transport that records."""

    def __init__(
        self, session_id: str = "s", *, user: str = "ada", wire: WireFormat = JSON, agent: Channel | None = None
    ) -> None:
        self.transport = RecordingTransport()
        self.outbox = Outbox(self.transport, LIMITS, session_id, on_overflow=lambda: None, on_skipped=lambda: None)
        self.wire = wire
        self.encoding = encoding_of(wire, self.transport.framing)
        self.user_id = UserId(user)
        self.is_open = True
        self.connected_at = 0.0
        author = Author(UserId(user), user.title(), SessionId(session_id))
        self.session = Session(Endpoint.AGENT if agent else Endpoint.ROOMS, author, agent, Keyspace("tannoy"))
        self.closed_with: list[CloseCode] = []

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        self.is_open = False
        self.closed_with.append(code)

    @property
    def writes(self) -> list[bytes]:
        return self.transport.writes


class RelayDriver:
    """A hub with its relay; `link` records what the relay does to the link."""

    def __init__(self, *, slice_size: int = 4096) -> None:
        self.hub = Hub()
        self.link: list[str] = []
        self.outcomes: dict[str, SocketOutcome] = {}
        """What became of each message with the token of a report, by that token."""
        self.asked: list[str] = []
        """Streams of which Redis was asked how they stand."""
        self.now = 0.0
        self.relay = Relay(
            self.hub,
            pause_link=lambda: self.link.append("pause"),
            resume_link=lambda: self.link.append("resume"),
            fence_if_expired=lambda: False,
            record_outcome=self.outcomes.__setitem__,
            streams=StreamTables(
                lambda channel, stream_id: self.asked.append(stream_id), lambda: self.now, lambda roster: None
            ),
            slice_size=slice_size,
        )

    def join(self, session_id: str = "s", *, channel: Channel = LOBBY, wire: WireFormat = JSON) -> RecordingMember:
        member = RecordingMember(session_id, wire=wire)
        self.hub.add(channel, member)
        return member

    def deliver(self, *texts: str, channel: Channel = LOBBY, exclude: str = "") -> None:
        """Deliver all of them in one batch of the link."""
        self.relay.deliver([delivery(text, channel=channel, exclude=exclude) for text in texts])


def delivery(text: str, *, channel: Channel = LOBBY, exclude: str = "", version: int = 0) -> tuple[bytes, Publication]:
    """A delivery whose JSON is the text, and whose msgpack is the text in upper case."""
    encoded = EncodedMessage(text.encode(), text.upper().encode())
    return channel.address, Publication(encoded, exclude, version)


def text_frames(*texts: str) -> bytes:
    return b"".join(frame(Opcode.TEXT, text.encode()) for text in texts)


def binary_frames(*texts: str) -> bytes:
    return b"".join(frame(Opcode.BINARY, text.upper().encode()) for text in texts)
