"""What `authenticate` returns: who a client is, and what it may do."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ...shared.errors import BadName
from ...shared.names import parse_user, parse_username
from ..auth.claims import (
    DEFAULT_PERMISSIONS,
    LISTED_MAX,
    PATTERN_MAX_CHARACTERS,
    TIME_MAX,
    Claims,
    NamePatterns,
    Permission,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """The owner of a session. All but `data` means what the claim of a token does (docs/protocol.md §2).

    `rooms`, `agents`: the names that it may use; a trailing `*` matches any ending. `can`: out of `publish`, `private`,
    `presence`, `history`, `observe`. `expires_at`: when the session is closed with 4401, as Unix seconds or a datetime
    with a time zone; None: never. `data` is the application's own, for its other hooks.

    Raises ValueError, which says what is wrong.
    """

    user_id: str | int
    username: str | None = None
    rooms: Collection[str] = ("*",)
    agents: Collection[str] = ()
    can: Collection[str] = tuple(sorted(DEFAULT_PERMISSIONS))
    expires_at: float | datetime | None = None
    data: object = field(default=None, repr=False, compare=False)
    claims: Claims = field(init=False, repr=False, compare=False)
    """What the node goes by."""

    def __post_init__(self) -> None:
        try:
            user_id = parse_user(self.user_id)
            username = str(user_id) if self.username is None else parse_username(self.username)
        except BadName as refusal:
            raise ValueError(refusal.message) from None
        claims = Claims(
            user_id,
            username,
            _parse_time(self.expires_at),
            _parse_patterns("rooms", self.rooms),
            _parse_patterns("agents", self.agents),
            _parse_permissions(self.can),
        )
        object.__setattr__(self, "claims", claims)


def _parse_time(value: float | datetime | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("expires_at has to have a time zone")
        value = value.timestamp()
    if not math.isfinite(value) or not 0 <= value <= TIME_MAX:
        raise ValueError(f"expires_at has to be 0 to {TIME_MAX}, in Unix seconds, not {value}")
    return float(value)


def _parse_patterns(name: str, patterns: Collection[object]) -> NamePatterns:
    if isinstance(patterns, str) or len(patterns) > LISTED_MAX:
        raise ValueError(f"{name} has to be a list of at most {LISTED_MAX} names")
    names: list[str] = []
    for pattern in patterns:
        if not isinstance(pattern, str) or not 0 < len(pattern) <= PATTERN_MAX_CHARACTERS or "*" in pattern[:-1]:
            raise ValueError(f"{name}: {pattern!r:.140} is no name; '*' may stand at the end of one only")
        names.append(pattern)
    return NamePatterns.parse(tuple(names))


def _parse_permissions(names: Iterable[str]) -> frozenset[Permission]:
    known = frozenset(map(str, Permission))
    if isinstance(names, str) or not known.issuperset(names):
        raise ValueError(f"can has to be a list out of {', '.join(Permission)}")
    return frozenset(map(Permission, names))
