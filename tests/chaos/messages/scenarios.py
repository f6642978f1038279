"""For each mutant of messages the shortest story in which it shows. Told to the product itself it has to be clean.

Two nodes, n1 and n2, each behind its own proxy; what is said is handed in to n2. Who waits here waits for something to
be seen, within a bound. Each story ends with a silence, in which all have to know the same.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.harness.connection import Switchboard
from tests.chaos.harness.history import FaultKind, History
from tests.chaos.harness.proxy import Part, Way
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.messages.client import World
from tests.chaos.messages.listener import ROOM
from tests.chaos.messages.record import Record
from tests.chaos.messages.scene import PATIENCE, ROOM_NAME, SOON, Scene, place_of
from tests.chaos.messages.verify import verify
from tests.support.waiting import eventually

KEPT = 5
"""HISTORY_SIZE: what is beyond it can't be filled."""
LARGE = 8000


# ---- holes


async def link_lost_while_speaking(scene: Scene) -> None:
    """The link is away for three messages, and when it is back the next ones follow at once."""
    await scene.connect("n1")
    await scene.say(2)
    heal = await scene.cut_off()
    await scene.say(3)
    healing = asyncio.create_task(heal())
    while not healing.done():
        await scene.say()
    await scene.say(100)
    await healing


async def last_word_lost(scene: Scene) -> None:
    """The link is away for the last messages of all: no further one shows that they are missing."""
    await scene.connect("n1")
    await scene.say(2)
    heal = await scene.cut_off()
    await scene.say(2)
    await heal()


async def more_than_is_kept(scene: Scene) -> None:
    """The link is away for longer than history goes back."""
    await scene.connect("n1")
    await scene.say(2)
    heal = await scene.cut_off()
    await scene.say(2 * KEPT)
    await heal()
    await scene.say()


async def log_overtakes_link(scene: Scene) -> None:
    """A hole is filled from a log that holds messages already that the link is still to bring."""
    stage = scene.stage
    listener = await scene.connect("n1")
    await scene.say()
    await scene.hears(listener, 1)
    heal = await scene.cut_off()
    await scene.say()
    log = stage.stall_part(scene.n1, Part.HISTORY, Way.TO_REDIS)
    await heal()
    await scene.say()
    link = stage.stall_part(scene.n1, Part.LINK, Way.FROM_REDIS)
    await scene.say(3)
    stage.let_flow(scene.n1, log, Part.HISTORY)
    await scene.hears(listener, 6)
    stage.let_flow(scene.n1, link, Part.LINK)
    await scene.say()


# ---- coming back


async def comes_back(scene: Scene) -> None:
    """Somebody has missed three messages, and asks for them."""
    listener = await scene.connect("n1")
    await scene.say(2)
    await scene.hears(listener, 2)
    listener.leave()
    await scene.say(3)
    await scene.connect("n2", place_of(listener))


async def comes_back_too_late(scene: Scene) -> None:
    """Somebody has missed more than history keeps."""
    listener = await scene.connect("n1")
    await scene.say(2)
    await scene.hears(listener, 2)
    listener.leave()
    await scene.say(2 * KEPT)
    await scene.connect("n2", place_of(listener))


async def comes_back_ahead_of_the_link(scene: Scene) -> None:
    """Who comes back gets from the log what the link of its node is still to bring to the others."""
    stayed, left = await scene.connect("n1"), await scene.connect("n1")
    await scene.say(2)
    await scene.hears(left, 2)
    left.leave()
    stall = scene.stage.stall_part(scene.n1, Part.LINK, Way.FROM_REDIS)
    await scene.say(3)
    back = await scene.connect("n1", place_of(left))
    await scene.hears(back, 5)
    scene.stage.let_flow(scene.n1, stall, Part.LINK)
    await scene.hears(stayed, 5)
    await scene.say()


async def said_while_joining(scene: Scene) -> None:
    """Something is said between finding a newcomer's place and letting it in."""
    await scene.connect("n1")
    await scene.say()
    stall = scene.stage.stall_part(scene.n1, Part.COUNTED, Way.TO_REDIS)
    newcomer = scene.knock("n1")
    await eventually(lambda: _has_sessions(scene, 2), within=SOON, what="the newcomer is on its way in")
    await scene.say(3)
    scene.stage.let_flow(scene.n1, stall, Part.COUNTED)
    await newcomer.settle(PATIENCE)
    await scene.say()


async def _has_sessions(scene: Scene, count: int) -> bool:
    return await scene.n1.count("hub", "sessions") == count


# ---- data lost


async def replica_lags(scene: Scene) -> None:
    """A replica takes over that has not heard of the last messages; those that follow get the same offsets."""
    listeners = await scene.connect("n1"), await scene.connect("n2")
    await scene.say(3)
    fault, replica = await scene.stage.fall_behind()
    await scene.say(3)
    for listener in listeners:
        await scene.hears(listener, 6)
    await scene.stage.fail_over(fault, replica)
    await scene.say(5)


async def begins_anew_while_the_link_lags(scene: Scene) -> None:
    """History is gone, a newcomer learns that from the log, and its node is still to hear what was said before."""
    stayed = await scene.connect("n1")
    await scene.say(3)
    await scene.hears(stayed, 3)
    former = place_of(stayed)
    stall = scene.stage.stall_part(scene.n1, Part.LINK, Way.FROM_REDIS)
    await scene.say(2)
    await scene.stage.forget(ROOM_NAME.removeprefix(ROOM))
    await scene.say(5)
    await scene.connect("n1", former)
    scene.stage.let_flow(scene.n1, stall, Part.LINK)
    await scene.hears(stayed, 5)
    await scene.say(3)


# ---- the rest


async def answer_cut(scene: Scene) -> None:
    """A message is said, its author never hears of it, and says it again with the same key."""
    listener = await scene.connect("n1")
    fault = scene.stage.stop_replies(scene.n2, Part.PUBLISHER)
    saying = asyncio.create_task(scene.say())
    await scene.hears(listener, 1)
    scene.stage.cut_replies(scene.n2, Part.PUBLISHER, fault)
    await saying


async def too_slow(scene: Scene) -> None:
    """Somebody does not read until the node drops what was for it."""
    slow = await scene.connect("n1", small=True)
    await scene.say()
    await scene.hears(slow, 1)
    fault = scene.stage.began(FaultKind.SLOW_CLIENT, slow.client)
    slow.stop_reading()
    for _ in range(100):
        await scene.say(size=LARGE)
        if await scene.n1.count("outbox", "overflowed"):
            break
    scene.stage.healed(fault)
    slow.read_on()
    await scene.say(3)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`shows`: the mutant has to be found by one of these; anything else it is found by is welcome too.

    Without a mutant: something that was once found in the product.
    """

    mutant: str | None
    tell: Callable[[Scene], Coroutine[Any, Any, None]]
    shows: frozenset[Kind]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return f"{self.tell.__name__} {self.mutant or ''}".strip()

    async def play(self, *, mutated: bool) -> list[Violation]:
        """Tell it to a cluster of its own: of mutants, or of the product."""
        history = History()
        switchboard = Switchboard(history)
        record = Record(history, kept=int(self.settings.get("HISTORY_SIZE", "100")))
        async with Stage(history, nodes=2, mutant=self.mutant if mutated else None, settings=self.settings) as stage:
            scene = Scene(World(stage, record, switchboard, seed=0))
            try:
                await self.tell(scene)
                await scene.silence()
            finally:
                await switchboard.close()
            stage.look_for_dead()
        return verify(record)


_HOLE = frozenset({Kind.HOLE})
_FEW = {"HISTORY_SIZE": str(KEPT)}
SCENARIOS = (
    Scenario("gap_check_off", link_lost_while_speaking, _HOLE),
    Scenario("fill_skips_one", last_word_lost, _HOLE | {Kind.BEHIND}),
    Scenario("barrier_off", last_word_lost, frozenset({Kind.BEHIND})),
    Scenario("resync_suppressed", more_than_is_kept, _HOLE, _FEW),
    Scenario("dedupe_off", log_overtakes_link, frozenset({Kind.DUPLICATE})),
    Scenario("recovered_lies", comes_back, frozenset({Kind.HOLE, Kind.BEHIND})),
    Scenario("partial_recovery", comes_back_too_late, _HOLE, _FEW),
    Scenario("seen_again", comes_back_ahead_of_the_link, frozenset({Kind.DUPLICATE})),
    Scenario("gate_drops", said_while_joining, _HOLE),
    Scenario("epoch_not_bound", replica_lags, frozenset({Kind.DIFFERENT})),
    Scenario(None, begins_anew_while_the_link_lags, frozenset()),
    Scenario("key_ignored", answer_cut, frozenset({Kind.SAID_TWICE})),
    Scenario("skips_silently", too_slow, _HOLE, {"SLOW_POLICY": "skip", "OUTBOX_MAX_BYTES": "16384"}),
)
