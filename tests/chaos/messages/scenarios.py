"""For each mutant the shortest scenario that reveals its missing safety. The product has to be clean in all of them.

A scenario waits only for events, each within a bound, and never for a fixed time. At its end all nodes and listeners
have to have the same positions, without a further message.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.harness.connection import ConnectionRegistry
from tests.chaos.harness.history import FaultKind, History
from tests.chaos.harness.proxy import Part, Way
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.messages.client import RunContext
from tests.chaos.messages.record import Record
from tests.chaos.messages.scene import PATIENCE, SOON, Scene, position_of
from tests.chaos.messages.server_steps import (
    client_returns_after_its_log_has_vanished,
    history_stays_on_the_former_server,
    lagging_replica_promoted,
    log_vanishes_with_messages_that_are_missing,
    new_epoch_while_the_link_is_stalled,
    publisher_stays_on_the_former_server,
)
from tests.chaos.messages.verify import verify
from tests.support.node import STEADY
from tests.support.waiting import eventually

KEPT = 5
"""HISTORY_SIZE of some scenarios: a longer hole cannot be filled."""
LARGE = 8000
"""Characters of a large message."""


# ---- holes


async def link_lost_during_publishing(scene: Scene) -> None:
    """The link is lost for three messages, and the next one comes over it before the node can read the log."""
    stage = scene.stage
    await scene.connect("n1")
    await scene.publish(2)
    heal = await scene.cut_link()
    await scene.publish(3)
    log = stage.stall_part(scene.n1, Part.HISTORY, Way.TO_REDIS)
    await heal()
    before = await scene.n1.count("link", "deliveries")

    async def has_delivered() -> bool:
        return await scene.n1.count("link", "deliveries") > before

    await scene.publish()
    await eventually(has_delivered, within=SOON, what="the link delivers the message behind the hole")
    stage.resume_link(scene.n1, log, Part.HISTORY)
    await scene.publish()


async def last_message_lost(scene: Scene) -> None:
    """The link is lost for the last messages: no further message reveals that they are missing."""
    await scene.connect("n1")
    await scene.publish(2)
    heal = await scene.cut_link()
    await scene.publish(2)
    await heal()


async def hole_beyond_history(scene: Scene) -> None:
    """The link is lost for more messages than history keeps."""
    await scene.connect("n1")
    await scene.publish(2)
    heal = await scene.cut_link()
    await scene.publish(2 * KEPT)
    await heal()
    await scene.publish()


async def log_overtakes_link(scene: Scene) -> None:
    """A hole is filled from a log that already contains messages that the link has not delivered yet."""
    stage = scene.stage
    listener = await scene.connect("n1")
    await scene.publish()
    await scene.wait_for_offset(listener, 1)
    heal = await scene.cut_link()
    await scene.publish()
    log = stage.stall_part(scene.n1, Part.HISTORY, Way.TO_REDIS)
    await heal()
    await scene.publish()
    link = stage.stall_part(scene.n1, Part.LINK, Way.FROM_REDIS)
    await scene.publish(3)
    stage.resume_link(scene.n1, log, Part.HISTORY)
    await scene.wait_for_offset(listener, 6)
    stage.resume_link(scene.n1, link, Part.LINK)
    await scene.publish()


# ---- recovery


async def client_returns(scene: Scene) -> None:
    """A client has missed three messages, and recovers them."""
    listener = await scene.connect("n1")
    await scene.publish(2)
    await scene.wait_for_offset(listener, 2)
    listener.close()
    await scene.publish(3)
    await scene.connect("n2", position_of(listener))


async def client_returns_too_late(scene: Scene) -> None:
    """A client has missed more messages than history keeps."""
    listener = await scene.connect("n1")
    await scene.publish(2)
    await scene.wait_for_offset(listener, 2)
    listener.close()
    await scene.publish(2 * KEPT)
    await scene.connect("n2", position_of(listener))


async def client_returns_ahead_of_the_link(scene: Scene) -> None:
    """A client recovers messages from the log that the link of its node has not delivered to the others yet."""
    stayed, left = await scene.connect("n1"), await scene.connect("n1")
    await scene.publish(2)
    await scene.wait_for_offset(left, 2)
    left.close()
    stall = scene.stage.stall_part(scene.n1, Part.LINK, Way.FROM_REDIS)
    await scene.publish(3)
    back = await scene.connect("n1", position_of(left))
    await scene.wait_for_offset(back, 5)
    scene.stage.resume_link(scene.n1, stall, Part.LINK)
    await scene.wait_for_offset(stayed, 5)
    await scene.publish()


async def publish_during_join(scene: Scene) -> None:
    """Messages are published after the position of a joining session was read, and before the session is admitted."""
    await scene.connect("n1")
    await scene.publish()
    stall = scene.stage.stall_part(scene.n1, Part.COUNTED, Way.TO_REDIS)
    newcomer = scene.start_connecting("n1")
    await eventually(lambda: _has_sessions(scene, 2), within=SOON, what="the second session is joining")
    await scene.publish(3)
    scene.stage.resume_link(scene.n1, stall, Part.COUNTED)
    await newcomer.wait_welcomed(PATIENCE)
    await scene.publish()


async def _has_sessions(scene: Scene, count: int) -> bool:
    return await scene.n1.count("hub", "sessions") == count


# ---- publishing and slow clients


async def acknowledgement_lost(scene: Scene) -> None:
    """A message is published, its acknowledgement is lost, and its author repeats it with the same key."""
    listener = await scene.connect("n1")
    fault = scene.stage.hold_replies(scene.n2, Part.PUBLISHER)
    publishing = asyncio.create_task(scene.publish())
    await scene.wait_for_offset(listener, 1)
    scene.stage.drop_replies(scene.n2, Part.PUBLISHER, fault)
    await publishing


async def messages_published_together(scene: Scene) -> None:
    """Several messages are published in one call."""
    await scene.connect("n1")
    await scene.publish()
    await scene.publish_together(8)
    await scene.publish()


async def slow_client(scene: Scene) -> None:
    """A client reads nothing until the node drops messages for it."""
    slow = await scene.connect("n1", small_buffers=True)
    await scene.publish()
    await scene.wait_for_offset(slow, 1)
    fault = scene.stage.history.record_fault(FaultKind.SLOW_CLIENT, slow.client)
    slow.pause_reading()
    for _ in range(100):
        await scene.publish(size=LARGE)
        if await scene.n1.count("outbox", "overflowed"):
            break
    scene.stage.history.record_healed(fault)
    slow.resume_reading()
    await scene.publish(3)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`steps`: what happens. `found_as`: the mutant has to violate one of these rules; it may violate others too.

    A scenario without a mutant is one in which an error of the product itself was once found.
    """

    mutant: str | None
    steps: Callable[[Scene], Coroutine[Any, Any, None]]
    found_as: frozenset[Kind]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return f"{self.steps.__name__} {self.mutant or ''}".strip()

    async def run(self, *, mutated: bool) -> list[Violation]:
        """Run it on a cluster of its own, of mutants or of the product; returns all violations."""
        history = History()
        registry = ConnectionRegistry(history)
        record = Record(history, kept=int(self.settings.get("HISTORY_SIZE", "100")))
        mutant = self.mutant if mutated else None
        async with Stage(history, nodes=2, mutant=mutant, settings=self.settings, times=STEADY) as stage:
            scene = Scene(RunContext(stage, record, registry, seed=0))
            try:
                await self.steps(scene)
                await scene.wait_until_consistent()
            finally:
                registry.close()
            stage.record_dead_nodes()
        return verify(record)


_HOLE = frozenset({Kind.HOLE})
_SHORT_HISTORY = {"HISTORY_SIZE": str(KEPT)}
SCENARIOS = (
    Scenario("gap_check_off", link_lost_during_publishing, _HOLE),
    Scenario("fill_skips_one", last_message_lost, _HOLE | {Kind.BEHIND}),
    Scenario("barrier_off", last_message_lost, frozenset({Kind.BEHIND})),
    Scenario("resync_suppressed", hole_beyond_history, _HOLE, _SHORT_HISTORY),
    Scenario("dedupe_off", log_overtakes_link, frozenset({Kind.DUPLICATE})),
    Scenario("recovered_without_messages", client_returns, frozenset({Kind.HOLE, Kind.BEHIND})),
    Scenario("partial_recovery", client_returns_too_late, _HOLE, _SHORT_HISTORY),
    Scenario("recovered_messages_repeated", client_returns_ahead_of_the_link, frozenset({Kind.DUPLICATE})),
    Scenario("join_drops_messages", publish_during_join, _HOLE),
    Scenario("epoch_not_bound_to_server", lagging_replica_promoted, frozenset({Kind.CONFLICTING})),
    Scenario("server_proof_off", publisher_stays_on_the_former_server, frozenset({Kind.LOST})),
    Scenario("server_proof_off", history_stays_on_the_former_server, frozenset({Kind.BEHIND})),
    Scenario(None, new_epoch_while_the_link_is_stalled, frozenset()),
    Scenario(None, log_vanishes_with_messages_that_are_missing, frozenset()),
    Scenario("partial_recovery", client_returns_after_its_log_has_vanished, _HOLE),
    Scenario("key_ignored", acknowledgement_lost, frozenset({Kind.PUBLISHED_TWICE})),
    Scenario("positions_mixed_up", messages_published_together, frozenset({Kind.CONFLICTING, Kind.PUBLISHED_TWICE})),
    Scenario("skip_without_resync", slow_client, _HOLE, {"SLOW_POLICY": "skip", "OUTBOX_MAX_BYTES": "16384"}),
)
