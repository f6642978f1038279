"""How a hook refuses, and what a client is told where one fails."""

from ...shared.backoff import spread_retry_after
from ...shared.codes import ErrorCode
from ...shared.errors import Refused, Unavailable


class Forbidden(Refused):
    """Raised by a hook that refuses: the client is answered `forbidden` with this message."""

    code = ErrorCode.FORBIDDEN

    def __init__(self, message: str = "the application does not allow this") -> None:
        super().__init__(message)


class NotAuthenticated(Refused):
    """`authenticate` returned None: the client is nobody whom the application knows."""

    code = ErrorCode.BAD_TOKEN

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the application does not know who you are: log in there first")


class HookFailed(Refused):
    """A hook raised an error, or returned what it may not. The log of the application has it."""

    def __init__(self, hook: str) -> None:
        super().__init__(f"{hook} of the application has failed: see its log")


class HookUnavailable(Unavailable):
    """What a hook needs is away: it can't decide now."""

    def __init__(self, hook: str) -> None:
        super().__init__(f"{hook} can't be answered at the moment: try again", retry_after=spread_retry_after(1.0, 2.0))


class HookLate(Unavailable):
    """A hook did not answer in time, or could not begin."""

    def __init__(self, hook: str, seconds: float) -> None:
        super().__init__(
            f"{hook} of the application did not answer within {seconds:g} s", retry_after=spread_retry_after(1.0, 2.0)
        )
