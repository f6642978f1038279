"""The envelopes of a cluster: as they are, or sealed, where its nodes have a secret.

A sealed envelope of a publication:

    1 byte    4: history keeps it, 5: it does not
    16 bytes  the seal of what follows, for this channel and the byte above
    …         the envelope (`envelope.py`)

The position in front of a numbered envelope is not sealed, since Redis assigns it. A change of presence, which a script
publishes, is sealed by that script, with a key for its room alone:

    1 byte    6
    40 bytes  SHA-1 in hexadecimal digits: of the key and, as such digits, the SHA-1 of the key and what follows
    …         the msgpack array of `envelope.py`

The header and each piece of a stream are sealed for the stream too (`stream_events.py`); the text that Redis has put
together of them is not.
"""

import hmac
from hashlib import sha1
from typing import Protocol

from ...shared.errors import MalformedBytes
from ...shared.publication import EncodedMessage, Publication
from ...shared.streams import StreamEnd
from .envelope import (
    NUMBERED,
    pack_end,
    pack_publication,
    split_numbered,
    unpack_change,
    unpack_delivery,
    unpack_numbered,
    unpack_unkept,
)
from .seal import SEAL_BYTES, Seal
from .stream_events import STREAM, unpack_event

_KEPT, _UNKEPT = b"\x04", b"\x05"
_START = 1 + SEAL_BYTES
_SEALED_CHANGE = b"\x06"
_CHANGE_START = 1 + 40
_FOREIGN = "a message without the seal of this cluster: is CLUSTER_SECRET the same on all nodes?"


class Envelopes(Protocol):
    """`address` is that of the channel. All that unpacks and opens raises MalformedBytes, also where a seal is not the
    cluster's.
    """

    def pack(self, address: bytes, publication: Publication, *, kept: bool) -> bytes:
        """`kept`: history keeps it, so Redis puts its position in front."""
        ...

    def unpack(self, address: bytes, data: bytes) -> Publication:
        """The publication in a message of pub/sub."""
        ...

    def unpack_entry(self, address: bytes, envelope: bytes, epoch: str, offset: int) -> Publication:
        """The publication in an entry of the history."""
        ...

    def presence_key(self, address: bytes) -> str:
        """The key by which scripts seal changes of a room's presence. Empty: they do not."""
        ...

    def pack_end(self, address: bytes, end: StreamEnd, message: EncodedMessage, *, kept: bool) -> bytes:
        """The message of a stream that has ended; all else is as in `pack`."""
        ...

    def seal_stream(self, address: bytes, kind: bytes, stream_id: bytes, body: bytes) -> bytes:
        """What stands in front of the header, or of a piece, of a stream."""
        ...

    def open_stream(self, address: bytes, kind: bytes, stream_id: bytes, sealed: bytes) -> bytes:
        """The header or the piece, without what `seal_stream` has put in front."""
        ...


class PlainEnvelopes:
    """Without a secret: whoever may publish in Redis can make one."""

    def pack(self, address: bytes, publication: Publication, *, kept: bool) -> bytes:
        return pack_publication(publication)

    def unpack(self, address: bytes, data: bytes) -> Publication:
        return unpack_delivery(data)

    def unpack_entry(self, address: bytes, envelope: bytes, epoch: str, offset: int) -> Publication:
        return unpack_numbered(envelope, epoch, offset)

    def presence_key(self, address: bytes) -> str:
        return ""

    def pack_end(self, address: bytes, end: StreamEnd, message: EncodedMessage, *, kept: bool) -> bytes:
        return pack_end(end, message)

    def seal_stream(self, address: bytes, kind: bytes, stream_id: bytes, body: bytes) -> bytes:
        return b""

    def open_stream(self, address: bytes, kind: bytes, stream_id: bytes, sealed: bytes) -> bytes:
        return sealed


PLAIN = PlainEnvelopes()


class SealedEnvelopes:
    """With a secret: what is not sealed by it is refused."""

    def __init__(self, secret: bytes) -> None:
        self._kept, self._unkept = Seal(secret, b"tannoy kept"), Seal(secret, b"tannoy unkept")
        self._presence, self._streams = Seal(secret, b"tannoy presence"), Seal(secret, b"tannoy streams")

    def pack(self, address: bytes, publication: Publication, *, kept: bool) -> bytes:
        return self._seal(address, pack_publication(publication), kept)

    def pack_end(self, address: bytes, end: StreamEnd, message: EncodedMessage, *, kept: bool) -> bytes:
        return self._seal(address, pack_end(end, message), kept)

    def _seal(self, address: bytes, envelope: bytes, kept: bool) -> bytes:
        kind, seal = (_KEPT, self._kept) if kept else (_UNKEPT, self._unkept)
        return b"%b%b%b" % (kind, seal.make(address, envelope), envelope)

    def unpack(self, address: bytes, data: bytes) -> Publication:
        if data[:1] == NUMBERED:
            envelope, epoch, offset = split_numbered(data)
            return self.unpack_entry(address, envelope, epoch, offset)
        if data[:1] == _SEALED_CHANGE:
            return self._unpack_change(address, data)
        if data[:1] == STREAM:
            return unpack_event(data, lambda kind, name, sealed: self.open_stream(address, kind, name, sealed))
        return unpack_unkept(_open(address, data, _UNKEPT, self._unkept))

    def unpack_entry(self, address: bytes, envelope: bytes, epoch: str, offset: int) -> Publication:
        return unpack_numbered(_open(address, envelope, _KEPT, self._kept), epoch, offset)

    def presence_key(self, address: bytes) -> str:
        return self._presence.make(address, b"").hex()

    def seal_stream(self, address: bytes, kind: bytes, stream_id: bytes, body: bytes) -> bytes:
        return self._streams.make(address, b"%b%b %b" % (kind, stream_id, body))

    def open_stream(self, address: bytes, kind: bytes, stream_id: bytes, sealed: bytes) -> bytes:
        body = sealed[SEAL_BYTES:]
        if not hmac.compare_digest(sealed[:SEAL_BYTES], self.seal_stream(address, kind, stream_id, body)):
            raise MalformedBytes(_FOREIGN)
        return body

    def _unpack_change(self, address: bytes, data: bytes) -> Publication:
        key, change = self.presence_key(address).encode(), data[_CHANGE_START:]
        seal = sha1(key + sha1(key + change).hexdigest().encode()).hexdigest().encode()
        if not hmac.compare_digest(data[1:_CHANGE_START], seal):
            raise MalformedBytes(_FOREIGN)
        return unpack_change(change)


def _open(address: bytes, sealed: bytes, kind: bytes, seal: Seal) -> bytes:
    """The envelope in a sealed one. Raises MalformedBytes."""
    envelope = sealed[_START:]
    if sealed[:1] != kind or not seal.is_valid(sealed[1:_START], address, envelope):
        raise MalformedBytes(_FOREIGN)
    return envelope


def envelopes_of(secret: bytes) -> Envelopes:
    """`secret` is CLUSTER_SECRET; empty: nothing is sealed."""
    return SealedEnvelopes(secret) if secret else PLAIN
