"""The rules that a run can violate, and violations."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The rules; `limits/verify.py`, `limits/verify_rooms.py` and `messages/verify.py` define them."""

    LIMIT = "limit"
    LIMIT_PROVEN = "limit_proven"
    LATE_BYE = "late_bye"
    DUPLICATE_NAME = "duplicate_name"
    DUPLICATE_NAME_PROVEN = "duplicate_name_proven"
    UNFENCED = "unfenced"
    UNEXPECTED = "unexpected"
    WRONG_CODE = "wrong_code"
    BAD_REFUSAL = "bad_refusal"
    SESSION_LIST = "session_list"
    LEAKED = "leaked"
    NOT_ADMITTED = "not_admitted"
    OVERFULL = "overfull"
    PRESENCE = "presence"
    STALE_VIEW = "stale_view"
    PREMATURE_LEAVE = "premature_leave"
    INCONSISTENT = "inconsistent"
    NODE_DIED = "node_died"
    # of messages
    HOLE = "hole"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    NO_POSITION = "no_position"
    BAD_RECOVERY = "bad_recovery"
    NEEDLESS = "needless"
    LATE = "late"
    BEHIND = "behind"
    CONFLICTING = "conflicting"
    PUBLISHED_TWICE = "published_twice"
    LOST = "lost"
    BAD_PAGE = "bad_page"
    # of streams; HOLE, DUPLICATE and BEHIND are theirs too
    WRONG_TEXT = "wrong_text"


class Violation(NamedTuple):
    kind: Kind
    at: float
    about: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.at:9.3f} s  {self.kind:<13} {self.about}: {self.evidence}"
