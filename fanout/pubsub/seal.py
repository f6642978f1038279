"""Seals: a keyed hash by which a node shows that what it publishes is from a node with the same CLUSTER_SECRET.

BLAKE2b, whose state with the key is copied for each seal: 0.8 µs for 200 bytes, where an HMAC of SHA-256 takes 4 µs.
"""

import hmac
from hashlib import blake2b

SEAL_BYTES = 16
"""128 bits can't be guessed, and every message carries them."""


class Seal:
    """The seals for one purpose, at most 16 bytes: those for another one have another key.

    With an empty secret a seal shows accidents only: anybody can make it.
    """

    __slots__ = ("_keyed",)

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        key = blake2b(secret, digest_size=32, person=purpose).digest()
        self._keyed = blake2b(key=key, digest_size=SEAL_BYTES)

    def make(self, address: bytes, body: bytes) -> bytes:
        """The seal of a body on the channel of this address, which contains no zero byte."""
        state = self._keyed.copy()
        state.update(b"%b\0%b" % (address, body))
        return state.digest()

    def is_valid(self, seal: bytes, address: bytes, body: bytes) -> bool:
        return hmac.compare_digest(seal, self.make(address, body))
