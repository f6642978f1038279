"""Whether a node takes any client at present, whoever it is."""

from ..lifecycle.files import next_file, sessions_possible
from .handshake import NO_FILES, Rejected, unavailable
from .refusals import Reason
from .resources import Resources

_DRAINING = unavailable("the node is draining", Reason.DRAINING)
_FULL = unavailable("this node has as many sessions as it may have", Reason.SESSIONS)


class Capacity:
    """`max_sessions`: of the settings. The limit of open files is looked up each time: it may change."""

    def __init__(self, max_sessions: int, resources: Resources) -> None:
        self._max_sessions = max_sessions
        self._resources = resources
        self._other_files = next_file()

    def measure_files(self) -> None:
        """Call this once all files are open that are not those of clients."""
        self._other_files = next_file()

    def find_refusal(self, sessions: int, *, is_draining: bool) -> Rejected | None:
        """Return how any newcomer is refused now; None: it is not. `sessions` are those that are open."""
        if is_draining:
            return _DRAINING
        if sessions >= self._max_sessions:
            return _FULL
        if (overloaded := self._resources.refusal) is not None:
            return overloaded
        return NO_FILES if sessions >= sessions_possible(self._other_files) else None
