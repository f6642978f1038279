"""What is said of a command that Redis has not confirmed, and whether it is worth repeating."""

from dataclasses import dataclass

from ..fanout.redis.address import AnyAddress
from ..fanout.redis.errors import NO_RIGHT_IN_SCRIPT, CommandFailed, RedisError
from ..shared.codes import ErrorCode
from ..shared.errors import Unavailable
from .errors import PublisherClosed, PublishError, PublishUnavailable, Unauthorized

_NO_ACCESS = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})


@dataclass(slots=True)
class Failures:
    """Of one route to Redis. `timeout` is in seconds."""

    address: AnyAddress
    timeout: float
    is_closed: bool = False
    cause: BaseException | None = None
    """An error that has ended a part of the route, so that nothing works any more."""

    def is_final(self, failed: Unavailable) -> bool:
        """Whether to repeat the command is pointless."""
        return self.is_closed or self.cause is not None or _is_denied(failed)

    def describe(self, failed: Unavailable, key: str | None, *, was_repeated: bool = True) -> PublishError:
        """The error for the caller, whose idempotency key is `key`."""
        if self.is_closed:
            return PublisherClosed()
        if self.cause is not None:
            return PublishUnavailable(f"this publisher has failed: {self.cause!r}", key=key)
        said = str((failed.refusal if isinstance(failed, CommandFailed) else None) or failed)
        if _is_denied(failed):
            return Unauthorized(f"Redis at {self.address} does not let us publish: {said}", ErrorCode.FORBIDDEN)
        within = f" within {self.timeout:g} s" if was_repeated else ""
        return PublishUnavailable(f"Redis at {self.address} has not confirmed it{within}: {said}", key=key)


def denies_access(refusal: RedisError) -> bool:
    """Redis knows the credentials, or the right that a script needs, not."""
    return refusal.code in _NO_ACCESS or str(refusal).startswith(NO_RIGHT_IN_SCRIPT)


def _is_denied(failed: Unavailable) -> bool:
    return isinstance(failed, CommandFailed) and failed.refusal is not None and denies_access(failed.refusal)
