"""Inputs made from a corpus: of one corpus a seed gives the same inputs on every machine."""

import random
from collections.abc import Iterator, Sequence

INPUT_MAX_BYTES = 4096
"""Of one input: what is longer is cut."""
MUTATIONS_MAX = 6
"""Of one input, one after the other."""
_INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"1e999",
    b"NaN",
    b"\\ud800",
    b"\xed\xa0\x80",
    "\u2028".encode(),
    b"\r\n",
    b"[" * 70,
    b'{"a":' * 70,
    b"\x91" * 70,
    b"\xdd\xff\xff\xff\xff",
    b"%00",
    b"..",
    b"*1\r\n",
    b"$-1\r\n",
)


class Mutator:
    """Changes the entries of a corpus at random."""

    def __init__(self, corpus: Sequence[bytes], seed: int) -> None:
        self._corpus = corpus
        self._random = random.Random(seed)

    def make_inputs(self, count: int) -> Iterator[bytes]:
        """The corpus as it is, then changed entries of it: `count` in all."""
        for number in range(count):
            yield self._corpus[number] if number < len(self._corpus) else self._make_input()

    def _make_input(self) -> bytes:
        chance = self._random
        data = bytearray(chance.choice(self._corpus))
        for _ in range(chance.randint(1, MUTATIONS_MAX)):
            self._change(data)
        return bytes(data[:INPUT_MAX_BYTES])

    def _change(self, data: bytearray) -> None:
        chance = self._random
        at, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        match chance.randrange(8):
            case 0 if data:
                at = min(at, len(data) - 1)
                data[at] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[min(at, len(data) - 1)] = chance.randrange(256)
            case 2:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 3:
                data[at:at] = chance.choice(_INTERESTING)
            case 4:
                del data[at:end]
            case 5:
                data[end:end] = data[at:end]
            case 6:
                other = chance.choice(self._corpus)
                data[at:] = other[chance.randint(0, len(other)) :]
            case _:
                del data[at:]
