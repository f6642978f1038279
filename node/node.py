"""One node: the parts of `fanout` and `node` wired together, and the tasks that keep it going.

It is what both carriers find in the lifespan state: it decides over handshakes and makes connections.
"""

import asyncio
import os
import random
import secrets
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from ..fanout.control import Control
from ..fanout.link import Link
from ..fanout.pipeline import Pipeline
from ..fanout.publisher import Publisher
from ..fanout.scripts import PUBLISH_ONCE
from ..fanout.subscriber import Subscriber
from ..fanout.wire import RedisAddress, ServerRefused, WireLost, dial, parse_address
from ..shared.channels import Channels
from ..shared.clock import Clock, SystemClock
from ..shared.close import CloseCode
from ..shared.errors import StartError
from ..shared.messages import DeliverToSession, DeliverToUser
from ..shared.names import NodeId
from ..shared.settings import Settings
from .admission import Admission, Admitted, Handshake, Rejected, TurnedAway
from .auth import is_loopback
from .carrier import Carried, Carrier
from .connection import Connection
from .farewell import Farewell
from .framing import frame_ready
from .hub import Hub
from .outbox import OutboxLimits
from .relay import Relay
from .services import Services
from .timers import TimerWheel

BUS_START_TIMEOUT = 5.0
"""Seconds in which a node that starts has to hear the bus."""
WRITE_HIGH_WATER = 65_536
"""Bytes that a socket may owe the kernel before it counts as slow."""
GOODBYE_DEADLINE = 2.0
COME_BACK_WITHIN = 2.0
"""Seconds over which those who are sent away are asked to spread their return."""

_log = structlog.get_logger("tannoy.node")


class Node:
    """Composed once per process. Use `running()` around everything else."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.incarnation = secrets.token_hex(8)
        self.node_id = NodeId(settings.node_id or f"{_host_name()}-{self.incarnation[:6]}")
        self.message_max_bytes = settings.message_max_bytes
        self.write_high_water = min(WRITE_HIGH_WATER, settings.outbox_max_bytes)
        self.is_draining = False
        self.has_failed = False

        self.channels = Channels(settings.redis_prefix)
        self.hub = Hub()
        self.wheel = TimerWheel(self.clock)
        self._address = _address(settings)
        self.link = Link(
            self._address,
            name=f"tannoy-link-{self.node_id}",
            echo_channel=self.channels.echo(self.incarnation),
            clock=self.clock,
            on_deliveries=self._dispatch,
            on_confirmed=lambda channels: self.subscriber.confirmed(channels),
        )
        self.subscriber = Subscriber(self.link)
        self.pipeline = Pipeline(self._address, name=f"tannoy-publisher-{self.node_id}", scripts=(PUBLISH_ONCE,))
        self.publisher = Publisher(self.pipeline, self.channels)
        self.control = Control(
            self.channels,
            self.publisher,
            incarnation=self.incarnation,
            secret=settings.cluster_secret.get_secret_value().encode(),
            execute=self._execute,
            is_listening=self.link.live.is_set,
        )
        self.relay = Relay(self.hub, pause_link=self.link.pause_reading, resume_link=self.link.resume_reading)
        self.services = Services(
            node_id=self.node_id,
            hub=self.hub,
            subscriber=self.subscriber,
            publisher=self.publisher,
            control=self.control,
            wheel=self.wheel,
            clock=self.clock,
            limits=OutboxLimits(settings.outbox_max_bytes, settings.slow_policy),
            ping_interval=_whole_if_possible(settings.ping_interval),
        )
        self._admission = Admission(self.channels, settings.allowed_origins, is_local=is_loopback(settings.host))
        self._control_addresses = frozenset(self.control.addresses)

    # ---- Acceptor, for the carriers

    def admit(self, handshake: Handshake) -> Admitted | TurnedAway | Rejected:
        return self._admission.decide(handshake)

    def connect(self, carrier: Carrier, decision: Admitted | TurnedAway) -> Carried:
        if isinstance(decision, TurnedAway):
            return Farewell(carrier, decision, self.wheel)
        return Connection(self.services, carrier, decision.session, decision.wire)

    # ---- what the bus brings

    def _dispatch(self, batch: list[tuple[bytes, bytes]]) -> None:
        if self._control_addresses.isdisjoint([address for address, _ in batch]):
            self.relay.deliver(batch)
            return
        self.relay.deliver([delivery for delivery in batch if delivery[0] not in self._control_addresses])
        for address, payload in batch:
            if address in self._control_addresses:
                self.control.received(payload)

    def _execute(self, order: DeliverToUser | DeliverToSession) -> int:
        """Carry out another node's order; the number of sessions that it reached here."""
        if isinstance(order, DeliverToSession):
            roster = self.hub.rosters.get(self.channels.agent(order.agent_id).address)
            found = roster.find(order.session_id) if roster else None
            if found is None:
                return 0
            wire, outbox = found
            outbox.answer(frame_ready(order.ready, wire))
            return 1
        # Nothing before `welcome`, nothing after `bye`.
        sessions = [session for session in self.hub.sessions_of(order.user_id) if session.is_open]
        for session in sessions:
            session.outbox.answer(frame_ready(order.ready, session.wire))
        return len(sessions)

    # ---- life

    @property
    def not_ready(self) -> str | None:
        """Why a balancer should send nobody here; None: it should."""
        if self.has_failed:
            return "the node has failed"
        if self.is_draining:
            return "the node is draining"
        if not self.link.live.is_set():
            return "the bus is silent"
        return None if self.pipeline.connected.is_set() else "the bus takes no publishes"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Everything that the node does by itself. Raises StartError where the bus can't be reached."""
        await self._check_bus()
        for address in self.control.addresses:
            self.link.want(address)
        tasks = [self._keep(self.link.run, "link"), self._keep(self.pipeline.run, "pipeline")]
        try:
            await self._wait_until_ready()
            _log.info("node is ready", node=self.node_id, redis=str(self._address))
            yield
        finally:
            await self.say_goodbye()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.wheel.close()

    def _keep(self, run: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(run(), name=f"tannoy-{name}")
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part of the node that must not end has ended: better no node than half a node."""
        if task.cancelled():
            return
        self.has_failed = True
        _log.critical("a part of the node has failed, ending the node", part=task.get_name(), exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)

    async def _check_bus(self) -> None:
        """One connection by hand: at start a sentence is worth more than a retry."""
        at = f"Redis at {self._address} (TANNOY_REDIS_URL)"
        try:
            wire = await dial(self._address, name="tannoy-check", on_pushes=lambda _: None, timeout=BUS_START_TIMEOUT)
        except ServerRefused as error:
            if str(error).startswith(("NOAUTH", "WRONGPASS")) or "AUTH" in str(error):
                hint = "put the right user and password into the URL: redis://user:password@host:port"
                raise StartError(f"{at} wants other credentials: {error}. {hint}") from error
            if "unknown command" in str(error).lower():
                raise StartError(f"{at} is too old: version 7.0 or later is needed ({error})") from error
            raise StartError(f"{at} refuses to talk to us: {error}") from error
        except TimeoutError as error:
            raise StartError(f"{at} does not answer within {BUS_START_TIMEOUT:g} seconds") from error
        except (OSError, WireLost) as error:
            raise StartError(f"{at} can't be reached: {error}. Is it running?") from error
        wire.abort()

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(BUS_START_TIMEOUT):
                await self.link.live.wait()
                await self.pipeline.connected.wait()
        except TimeoutError as error:
            raise StartError(f"not ready within {BUS_START_TIMEOUT:g} seconds: {self.not_ready}") from error

    async def say_goodbye(self) -> None:
        """Not ready any more; every socket gets `bye` 4001, and a moment to answer the close frame."""
        self.is_draining = True
        for member in self.hub.sessions():
            if isinstance(member, Connection):
                member.close(CloseCode.DRAINING, retry_after=round(random.uniform(0, COME_BACK_WITHIN), 2))
        try:
            async with asyncio.timeout(GOODBYE_DEADLINE):
                await self.wheel.idle.wait()
        except TimeoutError:
            _log.warning("some clients did not answer the close frame", clients=self.wheel.statistics()["waiting"])

    def statistics(self) -> dict[str, object]:
        """What tests, metrics and the diagnostics page read."""
        services = self.services
        return {
            "node": self.node_id,
            "pid": os.getpid(),
            "ready": self.not_ready is None,
            "hub": self.hub.statistics(),
            "relay": self.relay.statistics(),
            "link": self.link.statistics(),
            "subscriber": self.subscriber.statistics(),
            "pipeline": self.pipeline.statistics(),
            "control": self.control.statistics(),
            "wheel": self.wheel.statistics(),
            "connections": {"frames_received": services.received, "refused": services.refused},
            "outbox": services.limits.statistics(),
        }


def _address(settings: Settings) -> RedisAddress:
    try:
        return parse_address(settings.redis_url.get_secret_value())
    except ValueError as error:
        raise StartError(f"TANNOY_REDIS_URL: {error}") from error


def _host_name() -> str:
    """The host's name as far as it fits the alphabet of names."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in socket.gethostname())
    return name[:64] or "node"


def _whole_if_possible(seconds: float) -> float:
    return int(seconds) if seconds == int(seconds) else seconds
