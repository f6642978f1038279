"""Revocations (docs/protocol.md §6): tokens, users and agents that are refused, as nodes exchange and store them.

A revocation that was deleted stays as a record that is *lifted*, for LIFTED_SECONDS: so a node that has missed the
deletion does not state the revocation again. Of two records of one ID the one that was changed later holds, whichever
comes first.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b

from .clock import rfc3339
from .errors import BadName, MalformedBytes
from .names import parse_agent, parse_user

TOKEN_ID_MAX_CHARACTERS = 256
"""Of `jti`."""
LIFTED_SECONDS = 3600
"""For which a deletion is remembered: a node that has been without Redis for longer may bring the revocation back."""
_LATEST = 253_402_300_799
"""The last second of the year 9999, in Unix seconds: RFC 3339 has no later one."""
_parse_record = re.compile(
    rb"(\d{1,16})\|(\d{1,12})\|(revoked|lifted)\|(\d{1,15})\|(token|user|agent)\|(.+)", re.DOTALL
)


class RevocationKind(StrEnum):
    """What is revoked: tokens by their claim `jti`, tokens and sessions by their user, sessions by their agent."""

    TOKEN = "token"
    USER = "user"
    AGENT = "agent"


FIELDS = {RevocationKind.TOKEN: "jti", RevocationKind.USER: "user_id", RevocationKind.AGENT: "agent_id"}
"""The field of the HTTP API that names a value of this kind."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """What is refused, and until when."""

    kind: RevocationKind
    value: str = field(repr=False)
    until: int
    """Unix seconds: from then on it has no effect, and is forgotten. Of a lifted one: when that is forgotten."""
    created_at: int
    """Unix milliseconds."""
    changed_at: int
    """Unix microseconds, by the clock of Redis; it rises with each change of the same ID."""
    is_lifted: bool = False
    id: str = field(init=False, compare=False)
    """Computed once: there are thousands of records, and each is looked up by it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", revocation_id(self.kind, self.value))

    def is_active(self, now: float) -> bool:
        """`now` is in Unix seconds."""
        return not self.is_lifted and now < self.until

    def as_object(self) -> dict[str, object]:
        """One entry of `revocations` in `docs/protocol.md §6`."""
        return {
            "id": self.id,
            FIELDS[self.kind]: self.value,
            "until": rfc3339(self.until),
            "created_at": rfc3339(self.created_at / 1000),
        }

    def pack(self) -> bytes:
        """The record as Redis stores it; the scripts of `fanout/lua` read and write this form too."""
        state = "lifted" if self.is_lifted else "revoked"
        return f"{self.changed_at}|{self.until}|{state}|{self.created_at}|{self.kind}|{self.value}".encode()

    @classmethod
    def parse(cls, record: bytes) -> "Revocation":
        """Raises MalformedBytes."""
        found = _parse_record.fullmatch(record)
        if found is None:
            raise MalformedBytes(f"no record of a revocation: {len(record)} bytes")
        changed_at, until, state, created_at, kind, value = found.groups()
        if int(until) > _LATEST or int(created_at) > _LATEST * 1000 or int(changed_at) >= 2**53:
            raise MalformedBytes("a revocation with a time that is too late")
        try:
            kind = RevocationKind(kind.decode())
            named = parse_value(kind, value.decode())
        except (UnicodeDecodeError, BadName) as error:
            raise MalformedBytes("a revocation of what no name is") from error
        return cls(kind, named, int(until), int(created_at), int(changed_at), state == b"lifted")


def revocation_id(kind: RevocationKind, value: str) -> str:
    """The ID of the revocation of this: the same whenever it is revoked, and without a `jti` that it would reveal."""
    return blake2b(f"{kind}:{value}".encode(), digest_size=16).hexdigest()


def parse_value(kind: RevocationKind, value: object) -> str:
    """What is to be revoked: a user id, an agent id, or a `jti` of any text. Raises BadName."""
    match kind:
        case RevocationKind.USER:
            return parse_user(value)
        case RevocationKind.AGENT:
            return parse_agent(value)
        case RevocationKind.TOKEN:
            if not isinstance(value, str) or not 0 < len(value) <= TOKEN_ID_MAX_CHARACTERS:
                raise BadName(f"jti has to be a string of 1 to {TOKEN_ID_MAX_CHARACTERS} characters")
            return value
