"""What can be wrong with a run."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """`verify.py`, `verify_rooms.py` and `messages/verify.py` say what each one means."""

    LIMIT = "limit"
    LIMIT_PROVEN = "limit_proven"
    LATE_FAREWELL = "late_farewell"
    TWICE = "twice"
    TWICE_PROVEN = "twice_proven"
    UNFENCED = "unfenced"
    SPOKE = "spoke"
    WRONG_CODE = "wrong_code"
    BAD_REFUSAL = "bad_refusal"
    ROSTER = "roster"
    LEAKED = "leaked"
    NOT_ADMITTED = "not_admitted"
    OVERFULL = "overfull"
    PRESENCE = "presence"
    STALE_VIEW = "stale_view"
    FLAP = "flap"
    COMPLAINT = "complaint"
    NODE_DIED = "node_died"
    # of messages
    HOLE = "hole"
    DUPLICATE = "duplicate"
    INVERSION = "inversion"
    NO_PLACE = "no_place"
    BAD_RECOVERY = "bad_recovery"
    NEEDLESS = "needless"
    LATE = "late"
    BEHIND = "behind"
    DIFFERENT = "different"
    SAID_TWICE = "said_twice"
    LOST = "lost"
    BAD_PAGE = "bad_page"
    STRAY = "stray"


class Violation(NamedTuple):
    kind: Kind
    at: float
    about: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.at:9.3f} s  {self.kind:<13} {self.about}: {self.evidence}"
