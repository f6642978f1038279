"""Why a token is refused: each reason apart, with the code that its owner is told."""

from enum import StrEnum

from ...shared.codes import ErrorCode
from ...shared.errors import Refused


class TokenProblem(StrEnum):
    """Each is a counter, and the word for it in the log."""

    MISSING = "missing"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    BAD_CLAIM = "bad_claim"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_ISSUER = "wrong_issuer"
    REVOKED = "revoked"


class TokenRefused(Refused):
    """A token that proves no identity. The message is for its owner, and never contains the token.

    `retry_after`: seconds until the same token may be accepted, since its key is looked up. The code is `unavailable`
    then, so that its owner comes back.
    """

    def __init__(self, problem: TokenProblem, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message, code=_code_of(problem, retry_after), retry_after=retry_after)
        self.problem = problem


def _code_of(problem: TokenProblem, retry_after: float | None) -> ErrorCode:
    if retry_after is not None:
        return ErrorCode.UNAVAILABLE
    return ErrorCode.TOKEN_EXPIRED if problem is TokenProblem.EXPIRED else ErrorCode.BAD_TOKEN
