"""Publications on the bus: the bytes of an envelope, and which ones are malformed."""

import pytest
from tannoy.fanout.pubsub.envelope import pack_publication, unpack_publication
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.publication import EncodedMessage, Publication

ENCODED = EncodedMessage(b'{"a":1}', b"\x81\xa1a\x01")

PUBLICATIONS = [
    Publication(ENCODED),
    Publication(ENCODED, "s" * 128),
    Publication(EncodedMessage(b"", b"")),
    Publication(EncodedMessage(b"{}", b""), "s1"),
    Publication(EncodedMessage(b"x" * 100_000, b"y" * 100_000), "s1"),
]


@pytest.mark.parametrize("publication", PUBLICATIONS, ids=lambda p: f"{len(p.encoded.json)}-{p.exclude:.3}")
def test_a_publication_is_the_same_after_packing_and_unpacking(publication: Publication) -> None:
    assert unpack_publication(pack_publication(publication)) == publication


def test_the_envelope_has_the_documented_bytes() -> None:
    packed = pack_publication(Publication(ENCODED, "s1"))
    assert packed == b"\x01" + b"\x02" + b"\x00\x00\x00\x07" + b"s1" + b'{"a":1}' + b"\x81\xa1a\x01"


def test_an_envelope_truncated_within_its_json_is_malformed() -> None:
    packed = pack_publication(Publication(ENCODED, "s1"))
    for length in range(len(packed) - len(ENCODED.msgpack)):
        with pytest.raises(MalformedBytes):
            unpack_publication(packed[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"\x02\x00\x00\x00\x00\x00",  # of another version
        b'{"type":"message"}',
        b"\x01\x01\x00\x00\x00\x00\xff",  # exclude is not UTF-8
        b"\x01\xff\x00\x00\x00\x00",
        b"\x01\x00\xff\xff\xff\xff",
        b"\x01\xff\xff\xff\xff\xff" + b"a" * 100,
    ],
    ids=repr,
)
def test_an_envelope_that_no_node_writes_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedBytes):
        unpack_publication(data)
