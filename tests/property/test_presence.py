"""Presence events over generated data: unpacking gives an event or raises MalformedBytes."""

from contextlib import suppress

import msgpack
from hypothesis import given
from hypothesis import strategies as st
from tannoy.fanout.pubsub.envelope import unpack_publication
from tannoy.shared.errors import MalformedBytes

words = st.text(max_size=8) | st.binary(max_size=8) | st.sampled_from(["joined", "left", "count", "1|2|x"])
values = st.recursive(
    words | st.integers(-(2**63), 2**64 - 1) | st.booleans() | st.none() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=2),
    max_leaves=6,
)
numbers = st.integers(-2, 2**64 - 1)
changes = st.tuples(words, st.sampled_from(["joined", "left", "count"]), numbers, numbers, words, words, values)


@given(changes | values)
def test_unpack_of_any_msgpack_is_a_presence_event_or_raises_malformed_bytes(parts: object) -> None:
    with suppress(MalformedBytes):
        assert unpack_publication(b"\x02" + msgpack.packb(parts)).version > 0


@given(st.binary(max_size=100))
def test_unpack_of_any_bytes_is_a_presence_event_or_raises_malformed_bytes(data: bytes) -> None:
    with suppress(MalformedBytes):
        assert unpack_publication(b"\x02" + data).version > 0
