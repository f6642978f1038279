"""The HTTP hooks in a node: who is told of what, and asked what. Imported where the settings have a target."""

from collections.abc import Callable, Collection, Coroutine
from functools import partial
from importlib.metadata import version
from typing import Any

from ..fanout.bus import Bus
from ..fanout.external.service import ExternalService
from ..fanout.pubsub.envelopes import envelopes_of
from ..fanout.webhooks.calls import HookCalls
from ..fanout.webhooks.delivery import HookDelivery
from ..fanout.webhooks.events import EventReader
from ..fanout.webhooks.session_events import DeadProcesses, SessionEvents, TellRules
from ..fanout.webhooks.signature import SECRET_BYTES_MIN
from ..fanout.webhooks.statistics import WebhookStatistics
from ..fanout.webhooks.target import HookTarget, TargetAnswer, TargetRules, Work
from ..shared.clock import Clock
from ..shared.errors import StartError
from ..shared.hook_events import SESSION_EVENTS, HookEvent
from ..shared.keyspace import Keyspace
from ..shared.settings import Settings
from .hooks.hooks import Hooks
from .hooks.questions import HookQuestions, is_answer


class NodeWebhooks:
    """Needs `jobs` running, and its `targets` open. Raises StartError."""

    def __init__(
        self, settings: Settings, bus: Bus, keyspace: Keyspace, clock: Clock, *, incarnation: str, node: str
    ) -> None:
        events_url, asked_url = settings.hook_url.get_secret_value(), settings.hook_auth_url.get_secret_value()
        create = partial(_create_target, rules=create_rules(settings), clock=clock)
        to_events = create("hook target", "TANNOY_HOOK_URL", events_url) if events_url else None
        self._asked = to_events
        if asked_url and asked_url != events_url:
            self._asked = create("hook target of clients", "TANNOY_HOOK_AUTH_URL", asked_url)
        if settings.auth == "hook" and self._asked is None:
            raise StartError("TANNOY_AUTH=hook needs a back end that is asked: set TANNOY_HOOK_AUTH_URL")
        self.targets: tuple[ExternalService, ...] = tuple(
            {id(each): each for each in (to_events, self._asked) if each is not None}.values()
        )
        reader = EventReader(keyspace, envelopes_of(settings.cluster_secret.get_secret_value().encode()))
        self.calls = HookCalls(bus.history.pipeline, keyspace, reader, backlog=settings.hook_backlog)
        self._delivery = None
        if to_events is not None:
            self._delivery = HookDelivery(
                self.calls,
                to_events,
                name=incarnation,
                clock=clock,
                timeout=settings.hook_timeout,
                retry_seconds=settings.hook_retry_seconds,
                wanted=wanted_events(settings),
            )
        self.session_events: SessionEvents | None = None
        """What is told of sessions; None: nothing."""
        self._dead: DeadProcesses | None = None
        told = SESSION_EVENTS.intersection(settings.hook_events)
        if self._delivery is not None and told:
            delivery = self._delivery
            self.session_events = SessionEvents(self.calls, TellRules(incarnation, node, told), clock)
            self._dead = DeadProcesses(
                self.calls,
                list_alive=partial(_list_alive, bus),
                leads=lambda: delivery.leads,
                is_told=HookEvent.SESSION_CLOSED in told,
            )
        self._questions = HookQuestions(self._ask, clock)

    def add_questions(self, hooks: Hooks, settings: Settings) -> Hooks:
        """The hooks of the application with those by which the back end is asked (TANNOY_AUTH=hook)."""
        return Hooks(
            self._questions.authenticate,
            self._questions.authorize,
            hooks.on_connect,
            hooks.on_message,
            hooks.on_disconnect,
            timeout=max(hooks.timeout, settings.hook_timeout),
            at_once=hooks.at_once,
        )

    async def _ask(self, question: bytes) -> TargetAnswer:
        """Raises Unavailable."""
        assert self._asked is not None
        return await self._asked.post(Work.QUESTIONS, question, is_answer)

    @property
    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run, by name."""
        parts = {"hook delivery": self._delivery, "hook sessions": self.session_events, "dead sessions": self._dead}
        return {name: part.run for name, part in parts.items() if part is not None}

    def statistics(self) -> WebhookStatistics:
        sessions = self.session_events
        return WebhookStatistics(
            None if self._delivery is None else self._delivery.statistics(),
            None if sessions is None or self._dead is None else sessions.statistics(self._dead.ended),
        )


async def _list_alive(bus: Bus) -> Collection[str]:
    """Raises Unavailable."""
    return {node.incarnation for node in await bus.list_nodes()}


def wanted_events(settings: Settings) -> frozenset[HookEvent]:
    messages = {HookEvent.MESSAGE_PUBLISHED} if settings.hook_messages else set[HookEvent]()
    return frozenset(settings.hook_events) | messages


def create_rules(settings: Settings) -> TargetRules:
    """Raises StartError."""
    secret = settings.hook_secret.get_secret_value().encode()
    if len(secret) < SECRET_BYTES_MIN:
        raise StartError(
            f"TANNOY_HOOK_SECRET has {len(secret)} bytes: the requests of the hooks are signed with it, and it has to "
            f"have {SECRET_BYTES_MIN} or more, as `openssl rand -hex 32` makes"
        )
    return TargetRules(
        secret, settings.hook_timeout, networks=settings.hook_networks, at_once=200, http2=settings.hook_http2
    )


def _create_target(name: str, setting: str, url: str, *, rules: TargetRules, clock: Clock) -> HookTarget:
    """Raises StartError."""
    return HookTarget(name, setting, url, rules, clock, version=version("tannoy"))
