"""What is known of refused handshakes and requests: counters for the statistics, and lines of the log.

A browser shows its user neither status nor body of a refused handshake, so the operator looks for the reason here.
"""

from enum import StrEnum

import structlog

from ...shared.clock import Clock
from ...shared.codes import ErrorCode
from ...shared.errors import Refused, Unavailable
from ..auth.token_problems import TokenRefused
from ..auth.trusted_proxies import NO_PROXIES, TrustedProxies
from .sampled_lines import SampledLines

ORIGIN_MAX_CHARACTERS = 100
"""Of an origin in the log."""

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
    MEMORY = "memory"
    CPU = "cpu"
    LOOP_LAG = "loop_lag"
    CONNECTIONS = "connections"
    HANDSHAKES = "handshakes"
    RATE_LIMITED = "rate_limited"
    REQUEST = "request"
    FORBIDDEN = "forbidden"
    NOT_AUTHENTICATED = "not_authenticated"
    HOOK = "hook"
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


class NotAdmitted(Unavailable):
    """The node takes no newcomer at present, whoever it is. `reason`: why not."""

    def __init__(self, message: str, reason: Reason, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        self.reason = reason


def reason_of(refusal: Refused) -> Reason:
    """Why a client that was accepted is closed with this refusal."""
    if isinstance(refusal, NotAdmitted):
        return refusal.reason
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
    """Counts refusals by their reason, and logs each, sampled where there are many."""

    def __init__(self, clock: Clock, proxies: TrustedProxies = NO_PROXIES) -> None:
        """`proxies`: by which clients are told from them."""
        self.proxies = proxies
        self._lines = SampledLines(clock)
        self._counts = dict.fromkeys(Reason, 0)

    def record(
        self, reason: Reason, code: int, refusal: Refused, *, origin: str | None = None, address: str | None = None
    ) -> None:
        """`code`: the HTTP status or the close code that the client was sent; `address`: the client's, if known."""
        self._counts[reason] += 1
        if (sampled := self._lines.admit(reason)) is not None:
            _log.info(
                "refused a client",
                user=refusal.user_id,
                address=address,
                code=code,
                reason=reason.value,
                origin=origin if origin is None else f"{origin:.{ORIGIN_MAX_CHARACTERS}}",
                detail=refusal.message,
                **sampled,
            )

    def statistics(self) -> dict[str, int]:
        """How many were refused since the start, by reason."""
        return {reason.value: count for reason, count in self._counts.items()}
