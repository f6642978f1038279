"""From objects to frames: the one place where a wire format meets RFC 6455."""

from collections.abc import Iterable

from ...shared.protocol.codec import WIRE_FORMATS, WireFormat, encode_publication
from ...shared.protocol.frames import NodeFrame, PingFrame
from ...shared.publication import EncodedMessage, Publication
from ..rfc6455 import Opcode, frame


def frame_object(node_frame: NodeFrame, wire: WireFormat) -> bytes:
    """Encode and frame what one session alone gets."""
    return frame(Opcode.BINARY if wire.binary else Opcode.TEXT, wire.encode(node_frame.as_object()))


_pings: dict[WireFormat, bytes] = {wire: frame_object(PingFrame(), wire) for wire in WIRE_FORMATS.values()}


def frame_ping(wire: WireFormat) -> bytes:
    """The node's ping: the same for everyone, so framed once."""
    return _pings[wire]


def frame_encoded(encoded: EncodedMessage, wire: WireFormat) -> bytes:
    """Frame what was encoded by the node it entered at."""
    return frame(Opcode.BINARY, encoded.msgpack) if wire.binary else frame(Opcode.TEXT, encoded.json)


def frame_publication(publication: Publication, wire: WireFormat) -> bytes:
    """Frame what a channel says."""
    return frame(Opcode.BINARY if wire.binary else Opcode.TEXT, encode_publication(publication, wire))


def frames_of(publications: Iterable[Publication], wire: WireFormat, session_id: str) -> bytes:
    """What one session alone gets of them, joined: all but those that exclude it."""
    return b"".join([frame_publication(p, wire) for p in publications if p.exclude != session_id])
