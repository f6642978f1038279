"""An encoding is a client protocol in a wire format, framed for a transport: all that a socket's output depends on.

Rosters are grouped by encoding, so that a delivery is framed once for each encoding and written as it is to every
socket. A further client protocol is a further value of `ClientProtocol`, a further transport a value of `Framing`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...shared.protocol.codec import WIRE_FORMATS, WireFormat, decode_command
from ...shared.protocol.commands import Command
from ...shared.protocol.frames import NodeFrame, PingFrame
from ...shared.publication import Encoded, Publication
from ...shared.reports import split_mark
from .framing import FRAMINGS, Chunk, Framing


@dataclass(frozen=True, slots=True, eq=False)
class ClientProtocol:
    """How one client protocol writes frames as payloads, and reads commands from payloads. `binary`: its payloads are.

    `select_encoded` returns the part of a message that the node which it entered at has encoded for this protocol.
    `decode_command` takes a payload and whether it came as binary, and raises BadCommand.
    """

    name: str
    binary: bool
    encode_frame: Callable[[NodeFrame], bytes]
    select_encoded: Callable[[Encoded], bytes]
    encode_publication: Callable[[Publication], bytes]
    decode_command: Callable[[bytes, bool], Command]


class Encoding:
    """A client protocol and a framing. Connections of one encoding get the same bytes. Compared by identity."""

    __slots__ = ("_frame_payload", "_protocol", "decode_command", "join", "name", "ping")

    def __init__(self, protocol: ClientProtocol, framing: Framing) -> None:
        self.name = f"{protocol.name} {framing.name}"
        self._protocol = protocol
        self._frame_payload = framing.binary if protocol.binary else framing.text
        self.join = framing.join
        self.decode_command = protocol.decode_command
        self.ping = self.frame(PingFrame())
        """The node's ping; the same for every socket, so it is framed once."""

    def frame(self, node_frame: NodeFrame) -> Chunk:
        """Encode and frame what is for one session alone."""
        return self._frame_payload(self._protocol.encode_frame(node_frame))

    def encoded(self, message: Encoded) -> Chunk:
        """Frame a message as the publishing node has encoded it."""
        return self._frame_payload(self._protocol.select_encoded(message))

    def publication(self, publication: Publication) -> Chunk:
        """Frame one publication of a channel, with its position."""
        return self._frame_payload(self._protocol.encode_publication(publication))

    def publications(self, publications: Iterable[Publication]) -> Chunk:
        """Frame publications of a channel, joined."""
        return self.join([self.publication(publication) for publication in publications])

    def publications_for(self, publications: Iterable[Publication], session_id: str) -> Chunk:
        """Frame what one session is given of these publications: all but those that exclude it. Empty: none."""
        return self.join([self.publication(each) for each in publications if split_mark(each.exclude)[0] != session_id])


# ---- Tannoy's own protocol, version 1


def _version_1(wire: WireFormat) -> ClientProtocol:
    return ClientProtocol(
        wire.subprotocol,
        wire.binary,
        encode_frame=lambda node_frame: wire.encode(node_frame.as_object()),
        select_encoded=wire.select_encoded,
        encode_publication=wire.encode_publication,
        decode_command=lambda payload, binary: decode_command(payload, binary=binary, wire=wire),
    )


PROTOCOLS: dict[WireFormat, ClientProtocol] = {wire: _version_1(wire) for wire in WIRE_FORMATS.values()}

_encodings = {
    (wire, framing): Encoding(protocol, framing) for wire, protocol in PROTOCOLS.items() for framing in FRAMINGS
}


def encoding_of(wire: WireFormat, framing: Framing) -> Encoding:
    """Return the one encoding that the admitted wire format and the transport's framing make."""
    return _encodings[wire, framing]
