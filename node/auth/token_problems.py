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
    """A token that proves no identity. The message is for its owner, and never contains the token."""

    def __init__(self, problem: TokenProblem, message: str) -> None:
        code = ErrorCode.TOKEN_EXPIRED if problem is TokenProblem.EXPIRED else ErrorCode.BAD_TOKEN
        super().__init__(message, code=code)
        self.problem = problem
