"""What is known of refused handshakes and requests: counters for the statistics, and a bounded number of log lines.

A browser shows its user neither status nor body of a refused handshake, so the operator looks for the reason here.
"""

from enum import StrEnum

import structlog

from ...shared.clock import Clock
from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from ..auth.token_problems import TokenRefused

WINDOW_SECONDS = 60.0
"""Within it a reason and an origin are logged once."""
LINES_MAX = 20
"""Lines in one window; further refusals are only counted."""

_log = structlog.get_logger("tannoy.admission")


class Reason(StrEnum):
    """Why a handshake, or a request that could not be read, was refused."""

    ORIGIN = "origin"
    SUBPROTOCOL = "subprotocol"
    NAME = "name"
    PATH = "path"
    HANDSHAKE = "handshake"
    DRAINING = "draining"
    SESSIONS = "sessions"
    FILES = "files"
    CONNECTIONS = "connections"
    REQUEST = "request"
    FORBIDDEN = "forbidden"
    TOKEN_MISSING = "token_missing"
    TOKEN_EMPTY = "token_empty"
    TOKEN_TOO_LONG = "token_too_long"
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_UNKNOWN_KEY = "token_unknown_key"
    TOKEN_BAD_SIGNATURE = "token_bad_signature"
    TOKEN_BAD_CLAIM = "token_bad_claim"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_WRONG_AUDIENCE = "token_wrong_audience"
    TOKEN_WRONG_ISSUER = "token_wrong_issuer"
    TOKEN_REVOKED = "token_revoked"


def reason_of(refusal: Refused) -> Reason:
    """Why a client that was accepted is closed with this refusal."""
    if isinstance(refusal, TokenRefused):
        return Reason(f"token_{refusal.problem}")
    match refusal.code:
        case ErrorCode.BAD_NAME:
            return Reason.NAME
        case ErrorCode.FORBIDDEN:
            return Reason.FORBIDDEN
        case ErrorCode.UNAVAILABLE:
            return Reason.SESSIONS
        case _:
            return Reason.HANDSHAKE


class RefusalLog:
    """Counts refusals by their reason, and logs the first of each reason and origin in a window."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts = dict.fromkeys(Reason, 0)
        self._logged: set[tuple[Reason, str | None]] = set()
        self._window_ends = 0.0

    def record(self, reason: Reason, origin: str | None, status: int, detail: str) -> None:
        """`status`: the HTTP status or the close code that the client was sent; `detail`: the sentence beside it."""
        self._counts[reason] += 1
        now = self._clock.monotonic()
        if now >= self._window_ends:
            self._window_ends = now + WINDOW_SECONDS
            self._logged.clear()
        shown = origin if origin is None else f"{origin:.100}"
        if (reason, shown) in self._logged or len(self._logged) > LINES_MAX:
            return
        if len(self._logged) == LINES_MAX:
            _log.warning("more clients are refused: until the minute ends they are only counted, in /diagnostics")
        else:
            _log.warning("refused a client", reason=reason.value, origin=shown, status=status, detail=detail)
        self._logged.add((reason, shown))

    def statistics(self) -> dict[str, int]:
        """How many were refused since the start, by reason."""
        return {reason.value: count for reason, count in self._counts.items()}
