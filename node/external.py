"""The external services of a node: Redis, and the database where the settings have an archive."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..fanout.archive.calls import BacklogStatistics
from ..fanout.bus import Bus
from ..fanout.external.service import ExternalService
from ..fanout.external.services import OPEN_TIMEOUT, ExternalServices
from ..shared.clock import Clock
from ..shared.extras import ARCHIVE_PACKAGES, require_extra
from ..shared.keyspace import Keyspace
from ..shared.settings import Settings
from .operations.history import ArchiveReader

if TYPE_CHECKING:
    from .archive import NodeArchive

STEPS_OF_START = 4
"""Of which each may take the time of a step, until all services are open."""


@dataclass(frozen=True, slots=True)
class NodeServices:
    services: ExternalServices
    """Open while the node runs."""
    archive: "NodeArchive | None"

    @property
    def archive_reader(self) -> ArchiveReader | None:
        return None if self.archive is None else self.archive.history

    @property
    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run besides, by name."""
        jobs: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {"services": self.services.run_checks}
        return jobs if self.archive is None else {**jobs, "archive": self.archive.run}

    @property
    def backlog(self) -> BacklogStatistics | None:
        """What waits to be written to the archive; None: nothing is archived, or Redis has not said yet."""
        return None if self.archive is None else self.archive.backlog


def create_services(
    settings: Settings, bus: Bus, address: str, keyspace: Keyspace, clock: Clock, start_timeout: float
) -> NodeServices:
    """`address` is that of Redis, as it may be shown; `start_timeout` the seconds of one step of the start.

    Raises StartError, MissingExtra.
    """
    redis = bus.as_service(address)
    services: Sequence[ExternalService] = (redis,)
    archive = None
    if settings.archive:
        require_extra("archive", ARCHIVE_PACKAGES, importer="TANNOY_ARCHIVE")
        from .archive import NodeArchive

        archive = NodeArchive(settings, bus.history.pipeline, keyspace, clock)
        services = (redis, archive.database)
    open_timeout = max(OPEN_TIMEOUT, STEPS_OF_START * start_timeout)
    return NodeServices(ExternalServices(services, clock, open_timeout=open_timeout), archive)
