"""Clients of a `UnitNode`: each sends commands, and reads the frames that its connection writes to a transport."""

from collections.abc import Callable
from typing import Any

import pytest
from tannoy.node.connections.connection import Connection
from tannoy.node.protocols.encoding import encoding_of
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat
from tannoy.shared.protocol.frames import Author
from tannoy.shared.publication import EncodedMessage, Position

from tests.support.clock import turns
from tests.support.recording_transport import RecordingTransport, split_frames
from tests.support.unit_node import HOMES, KEYSPACE, UnitNode

both_wire_formats = pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)


class ClientDriver:
    """The client of one connection. It connects at once; `welcome` comes when its home is joined."""

    def __init__(
        self,
        node: UnitNode,
        endpoint: Endpoint = Endpoint.ROOMS,
        *,
        wire: WireFormat = JSON,
        session_id: str = "s1",
        user_id: str = "ada",
        high_water: int | None = None,
        hands_over: bool = True,
        opening: bytes = b"",
        recover: Position | None = None,
        address: str | None = "192.0.2.1",
    ) -> None:
        self.node = node
        self.wire = wire
        self.transport = RecordingTransport(high_water=high_water, hands_over=hands_over)
        author = Author(UserId(user_id), user_id.title(), SessionId(session_id))
        session = Session(endpoint, author, HOMES[endpoint], KEYSPACE, recover=recover)
        encoding = encoding_of(wire, self.transport.framing)
        self.connection = Connection(node.context, self.transport, session, encoding, address)
        self.transport.listener = self.connection
        self.transport.opening = opening
        self.connection.on_opened()

    def send(self, **fields: object) -> None:
        """Send one command."""
        self.connection.on_message(self.wire.encode(fields), self.wire.binary)

    def send_raw(self, payload: bytes, *, binary: bool = False) -> None:
        self.connection.on_message(payload, binary)

    def received(self) -> list[dict[str, Any]]:
        """Return the frames that the client has received since the last call."""
        return self.transport.take()

    def write_broadcast(self, size: int) -> None:
        """Write a message of `size` bytes to the outbox, as a delivery to one of its channels does."""
        ready = EncodedMessage(b'"' + b"x" * (size - 2) + b'"', b"")
        self.connection.outbox.write(self.connection.encoding.encoded(ready))

    @property
    def published(self) -> list[dict[str, Any]]:
        """The frames that were published, as their receivers get them."""
        return [self._object(publication.encoded.json) for publication in self.node.publisher.published]

    def _object(self, data: bytes) -> dict[str, Any]:
        value = JSON.decode(data)
        assert isinstance(value, dict)
        return value  # pyright: ignore[reportUnknownVariableType]  # what JSON holds is not known

    @property
    def opcodes(self) -> list[int]:
        return [int(opcode) for opcode, _ in split_frames(self.transport.stream)]

    async def receive_after_acknowledge(self) -> list[dict[str, Any]]:
        """Let Redis acknowledge and answer, and return the frames that the client has received."""
        await turns()
        self.node.link.acknowledge()
        await turns()
        return self.received()


async def connect_to_room(node: UnitNode, *, high_water: int | None = None) -> ClientDriver:
    """Return a client in the lobby that has read its `welcome`."""
    client = ClientDriver(node, Endpoint.ROOM, high_water=high_water)
    await node.acknowledge()
    assert [frame["type"] for frame in client.received()] == ["welcome"]
    return client


async def connect_to_agent(node: UnitNode, session_id: str = "s1", user_id: str = "ada") -> ClientDriver:
    """Return a client of agent 42 that has read its `welcome`."""
    client = ClientDriver(node, Endpoint.AGENT, session_id=session_id, user_id=user_id)
    await turns(6)
    await node.acknowledge()
    assert [frame["type"] for frame in client.received()] == ["welcome"]
    return client


def send_join(node: UnitNode) -> ClientDriver:
    """Return a client that has sent `join` of the lobby."""
    client = ClientDriver(node)
    client.send(type="join", room="lobby", id=1)
    return client


JOINS: dict[str, Callable[[UnitNode], ClientDriver]] = {
    "on connect": lambda node: ClientDriver(node, Endpoint.ROOM),
    "by command": send_join,
}
"""The two ways to join the lobby."""


def position_of(frame: dict[str, Any]) -> dict[str, object]:
    """Return the fields of a frame that say where its session begins."""
    return {name: frame[name] for name in ("epoch", "offset", "recovered") if name in frame}
