"""Verifying tokens (JWT, RFC 7519): signature first, then claims; those verified are remembered until they expire."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol, cast

import jwt

from ...shared.clock import Clock
from .claims import Claims, ExpectedClaims, check_times, parse_claims
from .keys import VerificationKey
from .token_problems import TokenProblem, TokenRefused

TOKEN_MAX_CHARACTERS = 8192
"""Of a token: more is refused before anything is parsed."""
REMEMBERED_MAX = 10_000
"""Verified tokens that are remembered; beyond it the one that was used longest ago is forgotten."""
HEADERS_MAX = 64
"""Headers of verified tokens that are remembered as they were parsed: an issuer has one for each key. One more, and all
are forgotten."""


class KeySource(Protocol):
    """Where the keys come from. `generation` changes when a key was removed or replaced."""

    @property
    def generation(self) -> int: ...
    def find(self, key_id: str | None) -> VerificationKey | None:
        """The key of this `kid`, or the only key; None: there is none. Raises TokenRefused while it is looked up."""
        ...


class SingleKey:
    """One key for all tokens, whatever `kid` they name."""

    generation = 0

    def __init__(self, key: VerificationKey) -> None:
        self._key = key

    def find(self, key_id: str | None) -> VerificationKey | None:
        return self._key


class TokenVerifier:
    """`is_revoked` is asked about each token, remembered or not."""

    def __init__(
        self, keys: KeySource, expected: ExpectedClaims, clock: Clock, is_revoked: Callable[[Claims], bool]
    ) -> None:
        self._keys = keys
        self._expected = expected
        self._clock = clock
        self._is_revoked = is_revoked
        self._signatures = jwt.PyJWS()
        self._generation = keys.generation
        self._remembered: OrderedDict[bytes, Claims] = OrderedDict()
        self._headers: dict[str, dict[str, Any]] = {}

    def verify(self, token: str | None) -> Claims:
        """The claims of a token that is valid now. Raises TokenRefused."""
        claims = self._find_remembered(token) if token else None
        if claims is None:
            claims = self._verify_new(token)
        check_times(claims, self._clock.now())
        if self._is_revoked(claims):
            raise TokenRefused(TokenProblem.REVOKED, "the token, or its user, has been revoked")
        return claims

    def _find_remembered(self, token: str) -> Claims | None:
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._remembered.clear()
        digest = _digest(token)
        claims = self._remembered.get(digest)
        if claims is not None:
            self._remembered.move_to_end(digest)
        return claims

    def _verify_new(self, token: str | None) -> Claims:
        payload = self._verify_signature(token)
        claims = parse_claims(payload, self._expected)
        self._remembered[_digest(token or "")] = claims
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return claims

    def _verify_signature(self, token: str | None) -> bytes:
        """The payload of a token that one of our keys has signed. Raises TokenRefused."""
        if token is None:
            raise TokenRefused(TokenProblem.MISSING, "a token is needed")
        if not token:
            raise TokenRefused(TokenProblem.EMPTY, "the token is empty")
        if len(token) > TOKEN_MAX_CHARACTERS:
            message = f"the token has more than {TOKEN_MAX_CHARACTERS} characters"
            raise TokenRefused(TokenProblem.TOO_LONG, message)
        try:
            encoded_header = token.partition(".")[0]
            header = self._headers.get(encoded_header) or self._signatures.get_unverified_header(token)
            key = self._keys.find(header.get("kid"))
            if key is None:
                raise TokenRefused(
                    TokenProblem.UNKNOWN_KEY, "the token is signed with a key that is not known: its 'kid'"
                )
            if header.get("alg") not in key.algorithms:
                message = f"the algorithm of the token is not one of {', '.join(key.algorithms)}: its 'alg'"
                raise TokenRefused(TokenProblem.BAD_SIGNATURE, message)
            decoded = self._signatures.decode_complete(token, key.key, algorithms=list(key.algorithms))
            self._remember_header(encoded_header, header)
            return cast(bytes, decoded["payload"])
        except jwt.InvalidSignatureError:
            raise TokenRefused(TokenProblem.BAD_SIGNATURE, "the signature of the token is wrong") from None
        except (jwt.PyJWTError, ValueError, RecursionError):  # the header may be any JSON, and no UTF-8
            raise TokenRefused(TokenProblem.MALFORMED, "the token is not a JWT: three parts in base64url") from None

    def _remember_header(self, encoded: str, header: dict[str, Any]) -> None:
        if encoded not in self._headers:
            if len(self._headers) >= HEADERS_MAX:
                self._headers.clear()
            self._headers[encoded] = header


def _digest(token: str) -> bytes:
    """What is remembered of a token instead of itself."""
    return hashlib.blake2b(token.encode(errors="surrogatepass"), digest_size=20).digest()
