"""What a token costs a node: `python -m bench.tokens` prints microseconds of CPU for one verification.

New tokens are each verified for the first time; a remembered one has been verified before, as those of clients that
come back. Each figure is the least of several rounds, in this process alone.
"""

import time
from collections.abc import Sequence

import jwt
from tannoy.node.auth.claims import ExpectedClaims
from tannoy.node.auth.keys import from_secret
from tannoy.node.auth.verifier import SingleKey, TokenVerifier
from tannoy.shared.clock import SystemClock

ROUNDS = 5
TOKENS = 5000
"""Of one round: fewer than a node remembers."""
SECRET = "a secret of more than thirty-two bytes"


def _make_tokens(count: int) -> list[str]:
    expires = int(time.time()) + 3600
    return [
        jwt.encode({"sub": f"user-{number}", "exp": expires, "rooms": ["*"]}, SECRET, algorithm="HS256")
        for number in range(count)
    ]


def _time_each(verifier: TokenVerifier, tokens: Sequence[str]) -> float:
    """Microseconds of CPU for one token."""
    began = time.process_time()
    for token in tokens:
        verifier.verify(token)
    return (time.process_time() - began) / len(tokens) * 1e6


def measure() -> tuple[float, float]:
    """(a new HS256 token, one that is remembered), in microseconds."""
    tokens = _make_tokens(TOKENS)
    new: list[float] = []
    remembered: list[float] = []
    for _ in range(ROUNDS):
        verifier = TokenVerifier(
            SingleKey(from_secret(SECRET)), ExpectedClaims(), SystemClock(), is_revoked=lambda claims: False
        )
        new.append(_time_each(verifier, tokens))
        remembered.append(_time_each(verifier, tokens))
    return min(new), min(remembered)


if __name__ == "__main__":
    first, again = measure()
    print(f"a new HS256 token: {first:.1f} µs; one that is remembered: {again:.2f} µs")
