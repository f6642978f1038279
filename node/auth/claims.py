"""The claims of a token (docs/protocol.md §2): who its owner is, and what the owner may do.

A claim of another type than the contract says is refused, whoever has signed the token: what the issuer meant by it
is not guessed.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeGuard, cast

from ...shared.errors import BadName
from ...shared.names import UserId, parse_user, parse_username
from ...shared.revocations import TOKEN_ID_MAX_CHARACTERS
from .token_problems import TokenProblem, TokenRefused

LISTED_MAX = 1000
"""Entries of the claim `rooms` or `agents`."""
PATTERN_MAX_CHARACTERS = 129
"""Of one entry: a name, and `*`."""
TIME_MAX = 253_402_300_799
"""The highest `exp` or `nbf`, in Unix seconds: the end of the year 9999, beyond which RFC 3339 writes no time."""


class Permission(StrEnum):
    """What the claim `can` lists."""

    PUBLISH = "publish"
    PRIVATE = "private"
    PRESENCE = "presence"
    HISTORY = "history"
    OBSERVE = "observe"


DEFAULT_PERMISSIONS = frozenset(Permission) - {Permission.OBSERVE}
"""What a token without the claim `can` allows."""


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """Names that a token may use; a pattern that ends in `*` matches each name that begins with the rest of it."""

    names: frozenset[str]
    prefixes: tuple[str, ...]

    @classmethod
    def parse(cls, patterns: tuple[str, ...]) -> "NamePatterns":
        exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
        return cls(exact, tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*")))

    def match(self, name: str) -> bool:
        return name in self.names or name.startswith(self.prefixes)


ALL_NAMES = NamePatterns.parse(("*",))
NO_NAMES = NamePatterns.parse(())


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid token, checked. Times are in Unix seconds."""

    user_id: UserId
    username: str
    expires_at: float | None
    """None: never; every token has an end, but not what an application says of a client."""
    rooms: NamePatterns = ALL_NAMES
    agents: NamePatterns = NO_NAMES
    can: frozenset[Permission] = DEFAULT_PERMISSIONS
    not_before: float | None = None
    token_id: str | None = field(default=None, repr=False)
    """The claim `jti`, by which the token alone can be revoked."""


@dataclass(frozen=True, slots=True)
class ExpectedClaims:
    """What the settings ask of every token; empty: anything."""

    audience: str = ""
    issuer: str = ""


def parse_claims(payload: bytes, expected: ExpectedClaims) -> Claims:
    """The claims in the payload of a token whose signature is valid. Its times are not compared with now.

    Raises TokenRefused, which names the claim and what is allowed.
    """
    claims = _parse_object(payload)
    _check_audience(claims.get("aud"), expected.audience)
    if expected.issuer and claims.get("iss") != expected.issuer:
        raise TokenRefused(TokenProblem.WRONG_ISSUER, "the token is of another issuer: its claim 'iss'")
    user_id = _parse_user(claims)
    return Claims(
        user_id,
        _parse_username(claims, user_id),
        _parse_time(claims, "exp"),
        _parse_patterns(claims, "rooms", ALL_NAMES),
        _parse_patterns(claims, "agents", NO_NAMES),
        _parse_permissions(claims),
        _parse_time(claims, "nbf") if "nbf" in claims else None,
        _parse_token_id(claims),
    )


def check_times(claims: Claims, now: float) -> None:
    """Compare the times of a token with `now`, in Unix seconds. Raises TokenRefused."""
    if claims.expires_at is not None and now >= claims.expires_at:
        raise TokenRefused(TokenProblem.EXPIRED, "the token has expired")
    if claims.not_before is not None and now < claims.not_before:
        raise TokenRefused(TokenProblem.NOT_YET_VALID, "the token is not valid yet: its claim 'nbf' is in the future")


def _parse_object(payload: bytes) -> Mapping[str, Any]:
    try:
        claims = json.loads(payload, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise TokenRefused(TokenProblem.MALFORMED, "the claims of the token are not JSON, or name one twice") from None
    if not isinstance(claims, dict):
        raise TokenRefused(TokenProblem.MALFORMED, "the claims of the token are not an object")
    return cast(dict[str, Any], claims)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 §4: names are unique. Which of two values another reader of the token takes is not known."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _bad_claim(name: str, allowed: str) -> TokenRefused:
    return TokenRefused(TokenProblem.BAD_CLAIM, f"the claim {name!r} of the token has to be {allowed}")


def _check_audience(audience: object, expected: str) -> None:
    """As RFC 7519 §4.1.3: a token that names audiences is only for them, also where none is expected."""
    if audience is None and not expected:
        return
    named = [audience] if isinstance(audience, str) else audience
    if not _is_list(named) or not expected or expected not in named:
        message = "the token is for another audience: its claim 'aud', and TANNOY_JWT_AUDIENCE"
        raise TokenRefused(TokenProblem.WRONG_AUDIENCE, message)


def _parse_user(claims: Mapping[str, Any]) -> UserId:
    subject = claims.get("sub")
    if not isinstance(subject, str):  # RFC 7519 §4.1.2
        raise _bad_claim("sub", "a string, the user id")
    try:
        return parse_user(subject)
    except BadName as refusal:
        raise TokenRefused(TokenProblem.BAD_CLAIM, f"the claim 'sub' of the token: {refusal.message}") from refusal


def _parse_username(claims: Mapping[str, Any], user_id: UserId) -> str:
    if claims.get("name") is None:
        return str(user_id)
    try:
        return parse_username(claims["name"])
    except BadName as refusal:
        raise TokenRefused(TokenProblem.BAD_CLAIM, f"the claim 'name' of the token: {refusal.message}") from refusal


def _parse_time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad_claim(name, "a number, in Unix seconds")
    if not math.isfinite(value) or not 0 <= value <= TIME_MAX:
        raise _bad_claim(name, f"a number of 0 to {TIME_MAX}, in Unix seconds")
    return float(value)


def _parse_patterns(claims: Mapping[str, Any], name: str, default: NamePatterns) -> NamePatterns:
    if claims.get(name) is None:
        return default
    listed = claims[name]
    if not _is_list(listed) or len(listed) > LISTED_MAX or not all(map(_is_pattern, listed)):
        raise _bad_claim(name, f"a list of at most {LISTED_MAX} names; '*' may stand at the end of a name only")
    return NamePatterns.parse(tuple(listed))


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_pattern(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= PATTERN_MAX_CHARACTERS and "*" not in value[:-1]


def _parse_permissions(claims: Mapping[str, Any]) -> frozenset[Permission]:
    if claims.get("can") is None:
        return DEFAULT_PERMISSIONS
    listed, known = claims["can"], frozenset(map(str, Permission))
    if not _is_list(listed) or not all(isinstance(entry, str) and entry in known for entry in listed):
        raise _bad_claim("can", f"a list out of {', '.join(Permission)}")
    return frozenset(map(Permission, listed))


def _parse_token_id(claims: Mapping[str, Any]) -> str | None:
    token_id = claims.get("jti")
    if token_id is None:
        return None
    if not isinstance(token_id, str) or not 0 < len(token_id) <= TOKEN_ID_MAX_CHARACTERS:
        raise _bad_claim("jti", f"a string of 1 to {TOKEN_ID_MAX_CHARACTERS} characters")
    return token_id
