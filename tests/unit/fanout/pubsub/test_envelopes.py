"""Envelopes with and without the seal of the cluster's secret, as messages of pub/sub and as entries of the history."""

from hashlib import sha1

import msgpack
import pytest
from tannoy.fanout.pubsub.envelope import pack_publication
from tannoy.fanout.pubsub.envelopes import PLAIN, SealedEnvelopes, envelopes_of
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.publication import EncodedMessage, Publication

ADDRESS = b"tannoy:{1}:room:lobby"
OTHER_ROOM = b"tannoy:{1}:room:other"
PUBLICATION = Publication(EncodedMessage(b'{"a":1}', b"\x81\xa1a\x01"), "s1")
NUMBERED = Publication(PUBLICATION.encoded, "s1", 0, "life-1", 7)
SEALED = SealedEnvelopes(b"secret")
KEPT, UNKEPT = (SEALED.pack(ADDRESS, PUBLICATION, kept=kept) for kept in (True, False))
POSITION = b"\x03life-1 7 "
CHANGE = b"\x02" + msgpack.packb(["lobby", "count", 2000, 9])


def test_without_a_secret_envelopes_are_as_they_were_packed() -> None:
    envelopes = envelopes_of(b"")
    assert envelopes is PLAIN
    for kept in (True, False):
        assert envelopes.pack(ADDRESS, PUBLICATION, kept=kept) == pack_publication(PUBLICATION)


def test_a_sealed_message_is_the_publication_that_was_packed() -> None:
    assert envelopes_of(b"secret").unpack(ADDRESS, UNKEPT) == PUBLICATION


def test_a_sealed_message_with_a_position_is_the_publication_at_that_position() -> None:
    assert SEALED.unpack(ADDRESS, POSITION + KEPT) == NUMBERED


def test_a_sealed_entry_of_the_history_is_the_publication_at_its_position() -> None:
    assert SEALED.unpack_entry(ADDRESS, KEPT, "life-1", 7) == NUMBERED


def sealed_change(address: bytes = ADDRESS, secret: bytes = b"secret") -> bytes:
    """As `lua/presence_common.lua` publishes it."""
    key, change = SealedEnvelopes(secret).presence_key(address).encode(), msgpack.packb(["lobby", "count", 2000, 9])
    return b"\x06" + sha1(key + sha1(key + change).hexdigest().encode()).hexdigest().encode() + change


def test_a_sealed_change_of_presence_is_read() -> None:
    assert SEALED.unpack(ADDRESS, sealed_change()).version == 9


def test_without_a_secret_there_is_no_key_for_presence_and_changes_are_not_sealed() -> None:
    assert PLAIN.presence_key(ADDRESS) == ""
    assert PLAIN.unpack(ADDRESS, CHANGE).version == 9
    with pytest.raises(MalformedBytes):
        PLAIN.unpack(ADDRESS, sealed_change())


def test_each_room_has_a_key_for_its_presence() -> None:
    assert SEALED.presence_key(ADDRESS) != SEALED.presence_key(OTHER_ROOM)


FOREIGN = {
    "unsealed": (ADDRESS, pack_publication(PUBLICATION)),
    "unsealed, with a position": (ADDRESS, POSITION + pack_publication(PUBLICATION)),
    "of another secret": (ADDRESS, SealedEnvelopes(b"Secret").pack(ADDRESS, PUBLICATION, kept=False)),
    "of another secret, with a position": (
        ADDRESS,
        POSITION + SealedEnvelopes(b"Secret").pack(ADDRESS, PUBLICATION, kept=True),
    ),
    "of another room": (OTHER_ROOM, UNKEPT),
    "of another room, with a position": (OTHER_ROOM, POSITION + KEPT),
    "kept, without its position": (ADDRESS, KEPT),
    "not kept, with a position": (ADDRESS, POSITION + UNKEPT),
    "kept, called unkept": (ADDRESS, UNKEPT[:1] + KEPT[1:]),
    "empty": (ADDRESS, b""),
    "an unsealed change of presence": (ADDRESS, CHANGE),
    "a change of presence of another room": (ADDRESS, sealed_change(OTHER_ROOM)),
    "a change of presence with another secret": (ADDRESS, sealed_change(secret=b"Secret")),
    "a change of presence with more behind it": (ADDRESS, sealed_change() + b"\x00"),
    "a change of presence that is cut": (ADDRESS, sealed_change()[:30]),
}


@pytest.mark.parametrize(("address", "data"), FOREIGN.values(), ids=FOREIGN)
def test_a_message_without_the_seal_of_the_cluster_is_malformed(address: bytes, data: bytes) -> None:
    with pytest.raises(MalformedBytes):
        SEALED.unpack(address, data)


@pytest.mark.parametrize(("start", "data"), [(b"", UNKEPT), (POSITION, KEPT)], ids=["unkept", "kept"])
def test_a_sealed_message_with_any_bit_changed_is_malformed(start: bytes, data: bytes) -> None:
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MalformedBytes):
            SEALED.unpack(ADDRESS, start + changed)


def test_a_truncated_sealed_message_is_malformed() -> None:
    for length in range(len(UNKEPT)):
        with pytest.raises(MalformedBytes):
            SEALED.unpack(ADDRESS, UNKEPT[:length])


@pytest.mark.parametrize("data", [UNKEPT, POSITION + KEPT], ids=["unkept", "kept"])
def test_a_sealed_message_is_malformed_to_a_node_without_a_secret(data: bytes) -> None:
    with pytest.raises(MalformedBytes):
        PLAIN.unpack(ADDRESS, data)
