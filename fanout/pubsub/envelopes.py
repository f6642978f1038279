"""The envelopes of a cluster: as they are, or sealed, where its nodes have a secret.

A sealed envelope of a publication:

    1 byte    4: history keeps it, 5: it does not
    16 bytes  the seal of what follows, for this channel and the byte above
    …         the envelope (`envelope.py`)

The position in front of a numbered envelope is not sealed, since Redis assigns it.
"""

from typing import Protocol

from ...shared.errors import MalformedBytes
from ...shared.publication import Publication
from .envelope import pack_publication, split_numbered, unpack_delivery, unpack_numbered, unpack_publication
from .seal import SEAL_BYTES, Seal

_KEPT, _UNKEPT = b"\x04", b"\x05"
_START = 1 + SEAL_BYTES


class Envelopes(Protocol):
    """`address` is that of the channel. All but `pack` raise MalformedBytes, also where a seal is not the cluster's."""

    def pack(self, address: bytes, publication: Publication, *, kept: bool) -> bytes:
        """`kept`: history keeps it, so Redis puts its position in front."""
        ...

    def unpack(self, address: bytes, data: bytes) -> Publication:
        """The publication in a message of pub/sub."""
        ...

    def unpack_entry(self, address: bytes, envelope: bytes, epoch: str, offset: int) -> Publication:
        """The publication in an entry of the history."""
        ...


class PlainEnvelopes:
    """Without a secret: whoever may publish in Redis can make one."""

    def pack(self, address: bytes, publication: Publication, *, kept: bool) -> bytes:
        return pack_publication(publication)

    def unpack(self, address: bytes, data: bytes) -> Publication:
        return unpack_delivery(data)

    def unpack_entry(self, address: bytes, envelope: bytes, epoch: str, offset: int) -> Publication:
        return unpack_numbered(envelope, epoch, offset)


PLAIN = PlainEnvelopes()


class SealedEnvelopes:
    """With a secret: what is not sealed by it is refused, but for changes of presence, which Redis publishes itself."""

    def __init__(self, secret: bytes) -> None:
        self._kept, self._unkept = Seal(secret, b"tannoy kept"), Seal(secret, b"tannoy unkept")

    def pack(self, address: bytes, publication: Publication, *, kept: bool) -> bytes:
        kind, seal = (_KEPT, self._kept) if kept else (_UNKEPT, self._unkept)
        envelope = pack_publication(publication)
        return b"%b%b%b" % (kind, seal.make(address, envelope), envelope)

    def unpack(self, address: bytes, data: bytes) -> Publication:
        if data[:1] == b"\x03":
            envelope, epoch, offset = split_numbered(data)
            return self.unpack_entry(address, envelope, epoch, offset)
        if data[:1] == b"\x02":
            return unpack_publication(data)
        return unpack_publication(_open(address, data, _UNKEPT, self._unkept))

    def unpack_entry(self, address: bytes, envelope: bytes, epoch: str, offset: int) -> Publication:
        return unpack_numbered(_open(address, envelope, _KEPT, self._kept), epoch, offset)


def _open(address: bytes, sealed: bytes, kind: bytes, seal: Seal) -> bytes:
    """The envelope in a sealed one. Raises MalformedBytes."""
    envelope = sealed[_START:]
    if sealed[:1] != kind or not seal.is_valid(sealed[1:_START], address, envelope):
        raise MalformedBytes("a message without the seal of this cluster: is CLUSTER_SECRET the same on all nodes?")
    return envelope


def envelopes_of(secret: bytes) -> Envelopes:
    """`secret` is CLUSTER_SECRET; empty: nothing is sealed."""
    return SealedEnvelopes(secret) if secret else PLAIN
