"""Whether a node takes any client at present, whoever it is."""

from ..lifecycle.files import next_file, sessions_possible
from .handshake import NO_FILES, Rejected, unavailable
from .refusals import Reason
from .resources import Resources

_DRAINING = unavailable("the node is draining", Reason.DRAINING)
_FULL = unavailable("this node has as many sessions as it may have", Reason.SESSIONS)


LIMIT_CHECKS = 16
"""Newcomers for whom one look at the limit of open files does: it may change, and to look it up costs a system call."""
NEAR_PERCENT = 50
"""Of the files that clients may have: with fewer in use, none of the reserve is."""


class Capacity:
    """`max_sessions`: of the settings."""

    def __init__(self, max_sessions: int, resources: Resources) -> None:
        self._max_sessions = max_sessions
        self._resources = resources
        self._other_files = next_file()
        self._sessions_possible = 0
        self._checks_left = 0

    def measure_files(self) -> None:
        """Call this once all files are open that are not those of clients."""
        self._other_files = next_file()
        self._checks_left = 0

    @property
    def sessions_possible(self) -> int:
        """For how many there are files."""
        return sessions_possible(self._other_files)

    def find_refusal(self, sessions: int, *, is_draining: bool) -> Rejected | None:
        """Return how any newcomer is refused now; None: it is not. `sessions` are those that are open."""
        if is_draining:
            return _DRAINING
        if sessions >= self._max_sessions:
            return _FULL
        if (overloaded := self._resources.refusal) is not None:
            return overloaded
        return NO_FILES if sessions >= self._possible() else None

    def is_near_limit(self, connections: int) -> bool:
        """Whether a file that is opened now may be one of the reserve. `connections`: of clients, sessions or not."""
        near = NEAR_PERCENT / 100 * self._possible()
        return connections >= near or self._resources.files_percent >= NEAR_PERCENT

    def _possible(self) -> int:
        """The sessions for which there are files."""
        if self._checks_left == 0:
            self._checks_left = LIMIT_CHECKS
            self._sessions_possible = sessions_possible(self._other_files)
        self._checks_left -= 1
        return self._sessions_possible
