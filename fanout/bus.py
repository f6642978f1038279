"""Everything of `fanout` that one node runs: composed once, kept going by a handful of tasks.

Three connections to Redis: the link, on which all arrives that other nodes say; one for publishes; one for what has to
be counted exactly (heartbeats, leases, presence), so that a flood of messages holds up no heartbeat.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from ..shared.channels import Channels, OwnerKind
from ..shared.clock import Clock
from ..shared.errors import StartError, Unavailable
from ..shared.messages import Object
from ..shared.orders import Errand, Question
from ..shared.policy import LimitMode
from .control import Control
from .departures import Departures
from .lease import Limit
from .leases import Leases
from .limits import Limits
from .link import Link
from .link_state import Batch
from .membership import Commands, Membership
from .pipeline import Pipeline
from .presence import Presence, Present
from .presence_calls import PRESENCE_SCRIPTS, PresenceRules
from .publisher import Publisher
from .repair import Repair
from .scripts import (
    HEARTBEAT,
    LEASE_ACQUIRE,
    LEASE_LIMIT,
    LEASE_LIST,
    LEASE_RELEASE,
    LEASE_REPAIR,
    NODE_TELL,
    NODES_LIST,
    PUBLISH_ONCE,
    REMEMBER_GONE,
    SERVER_ENSURE,
)
from .subscriber import Subscriber
from .wire import RedisAddress, ServerRefused, WireLost, dial

_log = structlog.get_logger("tannoy.bus")

START_TIMEOUT = 5.0
"""Seconds in which a node that starts has to hear the bus."""
LAST_WORDS_TIMEOUT = 1.0
_COUNTED = (
    SERVER_ENSURE,
    HEARTBEAT,
    NODE_TELL,
    NODES_LIST,
    LEASE_ACQUIRE,
    LEASE_RELEASE,
    LEASE_REPAIR,
    LEASE_LIMIT,
    LEASE_LIST,
    REMEMBER_GONE,
    *PRESENCE_SCRIPTS,
)


@dataclass(frozen=True, slots=True)
class BusRules:
    """What the settings say about the bus."""

    prefix: str
    secret: bytes
    limits: dict[OwnerKind, Limit]
    mode: LimitMode
    presence: PresenceRules


@dataclass(frozen=True, slots=True)
class BusEvents:
    """What the node does for the bus. `present`: its sessions in the rooms of some partitions."""

    deliver: Callable[[Batch], None]
    answer: Callable[[Question], tuple[int, tuple[Object, ...]]]
    describe: Callable[[], Object]
    present: Callable[[Collection[int]], Mapping[int, Present]]


class Bus:
    """Needs the tasks of `jobs` running."""

    def __init__(
        self, address: RedisAddress, rules: BusRules, events: BusEvents, *, incarnation: str, name: str, clock: Clock
    ) -> None:
        self._address = address
        self.channels = Channels(rules.prefix)
        self.link = Link(
            address,
            name=f"tannoy-link-{name}",
            echo_channel=self.channels.echo(incarnation),
            clock=clock,
            on_deliveries=self._dispatch,
            on_confirmed=lambda channels: self.subscriber.confirmed(channels),
        )
        self.subscriber = Subscriber(self.link)
        self.pipeline = Pipeline(address, name=f"tannoy-publisher-{name}", scripts=(PUBLISH_ONCE,))
        self.publisher = Publisher(self.pipeline, self.channels)
        self.control = Control(
            self.channels,
            self.publisher,
            incarnation=incarnation,
            secret=rules.secret,
            answer=events.answer,
            run_errand=self._run_errand,
            is_listening=self.link.live.is_set,
        )
        self.membership = Membership(
            self.channels,
            incarnation=incarnation,
            clock=clock,
            restate=self._restate,
            on_expired=lambda: self.leases.expired(),
            describe=events.describe,
        )
        self.counted = Pipeline(address, name=f"tannoy-counted-{name}", scripts=_COUNTED, greet=self.membership.greet)
        self.limits = Limits(
            self.counted, self.channels, incarnation=incarnation, defaults=rules.limits, tell=self.control.tell
        )
        self.leases = Leases(
            self.counted,
            self.membership,
            self.channels,
            incarnation=incarnation,
            limits=self.limits,
            mode=rules.mode,
            tell=self.control.tell,
        )
        self.presence = Presence(self.counted, self.channels, incarnation=incarnation, rules=rules.presence)
        self.departures = Departures(self.counted, self.channels)
        self.repair = Repair(self.counted, self.membership, self.leases, self.presence, self.departures, events.present)
        self._deliver = events.deliver
        self._orders = frozenset(self.control.addresses)

    def _dispatch(self, batch: Batch) -> None:
        """Before anything is delivered: may this node still deliver it?"""
        self.leases.are_trusted()
        if self._orders.isdisjoint([address for address, _ in batch]):
            self._deliver(batch)
            return
        self._deliver([delivery for delivery in batch if delivery[0] not in self._orders])
        for address, payload in batch:
            if address in self._orders:
                self.control.received(payload)

    def _run_errand(self, errand: Errand) -> None:
        self.leases.run_errand(errand)

    async def _restate(self, commands: Commands, partitions: Collection[int], adding: bool) -> None:
        await self.leases.restate(commands, partitions, adding)

    # ---- life

    @property
    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run for as long as the node does, by name."""
        return {
            "link": self.link.run,
            "publisher": self.pipeline.run,
            "counted": self.counted.run,
            "heartbeat": lambda: self.membership.run(self.counted),
            "presence": self.presence.run,
            "repair": self.repair.run,
        }

    @property
    def is_silent(self) -> str | None:
        """What is not there that should be; None: all is."""
        if not self.link.live.is_set():
            return "the bus is silent"
        if not self.pipeline.connected.is_set():
            return "the bus takes no publishes"
        return None if self.counted.connected.is_set() else "the bus takes no heartbeats"

    async def check(self) -> None:
        """One connection by hand: at start a sentence is worth more than a retry. Raises StartError."""
        at = f"Redis at {self._address} (TANNOY_REDIS_URL)"
        try:
            wire = await dial(self._address, name="tannoy-check", on_pushes=lambda _: None, timeout=START_TIMEOUT)
        except ServerRefused as error:
            if str(error).startswith(("NOAUTH", "WRONGPASS")) or "AUTH" in str(error):
                hint = "put the right user and password into the URL: redis://user:password@host:port"
                raise StartError(f"{at} wants other credentials: {error}. {hint}") from error
            if "unknown command" in str(error).lower():
                raise StartError(f"{at} is too old: version 7.0 or later is needed ({error})") from error
            raise StartError(f"{at} refuses to talk to us: {error}") from error
        except TimeoutError as error:
            raise StartError(f"{at} does not answer within {START_TIMEOUT:g} seconds") from error
        except (OSError, WireLost) as error:
            raise StartError(f"{at} can't be reached: {error}. Is it running?") from error
        wire.abort()

    async def wait_until_ready(self) -> None:
        """Hear the orders of other nodes, and all the rest. Raises StartError."""
        for channel in self.control.addresses:
            self.link.want(channel)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self.link.live.wait()
                await self.pipeline.connected.wait()
                await self.counted.connected.wait()
        except TimeoutError as error:
            raise StartError(f"not ready within {START_TIMEOUT:g} seconds: {self.is_silent}") from error
        if wait := self.membership.recovers_for:
            _log.info("this Redis is new: waiting until no other node can hold a place", seconds=round(wait, 1))
            await asyncio.sleep(wait)

    async def leave(self) -> None:
        """The node has closed its sockets: let others take its places at once, not only when its lease has run out."""
        self.membership.close()
        try:
            async with asyncio.timeout(LAST_WORDS_TIMEOUT):
                await self.membership.leave(self.counted)
        except (TimeoutError, Unavailable):
            pass  # then its heartbeat will run out by itself

    def statistics(self) -> dict[str, object]:
        return {
            "link": self.link.statistics(),
            "subscriber": self.subscriber.statistics(),
            "pipeline": self.pipeline.statistics(),
            "counted": self.counted.statistics(),
            "control": self.control.statistics(),
            "membership": self.membership.statistics(),
            "leases": self.leases.statistics(),
            "presence": self.presence.statistics(),
            "departures": self.departures.statistics(),
            "repair": self.repair.statistics(),
        }
