"""The external services of a node: Redis, the database of the archive, and the target of the HTTP hooks."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..fanout.backlog import BacklogStatistics
from ..fanout.bus import Bus
from ..fanout.external.service import ExternalService
from ..fanout.external.services import OPEN_TIMEOUT, ExternalServices
from ..fanout.webhooks.session_events import SessionEvents
from ..fanout.webhooks.statistics import WebhookStatistics
from ..shared.clock import Clock
from ..shared.extras import ARCHIVE_PACKAGES, HOOKS_PACKAGES, require_extra
from ..shared.keyspace import Keyspace
from ..shared.settings import Settings
from .hooks.hooks import Hooks
from .operations.history import ArchiveReader

if TYPE_CHECKING:
    from .archive import NodeArchive
    from .webhooks import NodeWebhooks

STEPS_OF_START = 4
"""Of which each may take the time of a step, until all services are open."""


@dataclass(frozen=True, slots=True)
class NodeServices:
    services: ExternalServices
    """Open while the node runs."""
    archive: "NodeArchive | None"
    webhooks: "NodeWebhooks | None" = None
    """The HTTP hooks."""

    def add_questions(self, hooks: Hooks, settings: Settings) -> Hooks:
        """The hooks of the application, with those by which a back end is asked where the settings say so."""
        if self.webhooks is None or settings.auth != "hook":
            return hooks
        return self.webhooks.add_questions(hooks, settings)

    @property
    def session_events(self) -> SessionEvents | None:
        """What tells the HTTP hooks of sessions; None: nothing does."""
        return None if self.webhooks is None else self.webhooks.session_events

    @property
    def webhook_statistics(self) -> WebhookStatistics | None:
        return None if self.webhooks is None else self.webhooks.statistics()

    @property
    def archive_reader(self) -> ArchiveReader | None:
        return None if self.archive is None else self.archive.history

    @property
    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run besides, by name."""
        jobs: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {"services": self.services.run_checks}
        if self.archive is not None:
            jobs["archive"] = self.archive.run
        return jobs if self.webhooks is None else {**jobs, **self.webhooks.jobs}

    @property
    def backlog(self) -> BacklogStatistics | None:
        """What waits to be written to the archive; None: nothing is archived, or Redis has not said yet."""
        return None if self.archive is None else self.archive.backlog


@dataclass(frozen=True, slots=True)
class StartRules:
    """`address` is that of Redis, as it may be shown; `timeout` the seconds of one step of the start; `node` the
    node's ID.
    """

    address: str
    timeout: float
    incarnation: str
    node: str


def has_webhooks(settings: Settings) -> bool:
    urls = (settings.hook_url, settings.hook_auth_url)
    return settings.auth == "hook" or any(url.get_secret_value() for url in urls)


def create_services(settings: Settings, bus: Bus, keyspace: Keyspace, clock: Clock, start: StartRules) -> NodeServices:
    """Raises StartError, MissingExtra."""
    redis = bus.as_service(start.address)
    services: list[ExternalService] = [redis]
    archive, webhooks = None, None
    if settings.archive:
        require_extra("archive", ARCHIVE_PACKAGES, importer="TANNOY_ARCHIVE")
        from .archive import NodeArchive

        archive = NodeArchive(settings, bus.history.pipeline, keyspace, clock)
        services.append(archive.database)
    if has_webhooks(settings):
        require_extra("hooks", HOOKS_PACKAGES, importer="TANNOY_HOOK_URL")
        from .webhooks import NodeWebhooks

        webhooks = NodeWebhooks(settings, bus, keyspace, clock, incarnation=start.incarnation, node=start.node)
        services += webhooks.targets
    open_timeout = max(OPEN_TIMEOUT, STEPS_OF_START * start.timeout)
    return NodeServices(ExternalServices(services, clock, open_timeout=open_timeout), archive, webhooks)
