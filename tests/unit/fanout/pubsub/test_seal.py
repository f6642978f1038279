"""Seals: valid for one secret, one purpose, one channel and one body."""

import pytest
from tannoy.fanout.pubsub.seal import SEAL_BYTES, Seal

ADDRESS, BODY = b"tannoy:{1}:room:lobby", b"body"
SEAL = Seal(b"secret", b"purpose")


def test_a_seal_is_valid_for_what_it_was_made_for() -> None:
    made = SEAL.make(ADDRESS, BODY)
    assert len(made) == SEAL_BYTES
    assert SEAL.is_valid(made, ADDRESS, BODY)


OTHERS = {
    "another secret": (Seal(b"Secret", b"purpose"), ADDRESS, BODY),
    "no secret": (Seal(b"", b"purpose"), ADDRESS, BODY),
    "another purpose": (Seal(b"secret", b"other"), ADDRESS, BODY),
    "another channel": (SEAL, b"tannoy:{1}:room:lobby2", BODY),
    "another body": (SEAL, ADDRESS, b"bodY"),
    "a byte less": (SEAL, ADDRESS, b"bod"),
    "what is cut elsewhere": (SEAL, ADDRESS + b"b", b"ody"),
}


@pytest.mark.parametrize(("seal", "address", "body"), OTHERS.values(), ids=OTHERS)
def test_a_seal_is_not_valid_for_anything_else(seal: Seal, address: bytes, body: bytes) -> None:
    assert not seal.is_valid(SEAL.make(ADDRESS, BODY), address, body)


def test_a_part_of_a_seal_is_not_valid() -> None:
    made = SEAL.make(ADDRESS, BODY)
    assert not any(SEAL.is_valid(made[:length], ADDRESS, BODY) for length in range(SEAL_BYTES))


def test_a_secret_of_any_length_makes_a_seal_of_its_own() -> None:
    long = b"x" * 1000
    assert not Seal(long + b"y", b"purpose").is_valid(Seal(long, b"purpose").make(ADDRESS, BODY), ADDRESS, BODY)
