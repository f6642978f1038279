"""For each mutant the shortest story in which its missing safety shows. Told to the product itself it has to be clean.

Two nodes, n1 and n2, each behind its own proxy. Whoever waits here waits for something to be seen, within a bound.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tests.chaos.harness.history import History
from tests.chaos.harness.proxy import Way
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.harness.waiting import holds
from tests.chaos.limits.audit import Audit
from tests.chaos.limits.recorder import Recorder, Socket
from tests.chaos.limits.tabs import Tab, Tabs
from tests.chaos.limits.verify import verify
from tests.chaos.limits.verify_rooms import GRACE
from tests.chaos.limits.workload import Agent, Publisher, record_limits, set_limit, settings_for

PATIENCE = 12.0
SOON = 3.0
STABLE_WITHIN = 6.0
REPAIRED_WITHIN = 6.0
TAKEN_OVER_WITHIN = 9.0
DEAD_SWEPT_WITHIN = 13.0


class Scene:
    """What a scenario does, in its own words."""

    def __init__(self, stage: Stage, recorder: Recorder, agent: Agent, room: str) -> None:
        self.stage = stage
        self.agent = agent
        self.room = room
        self.n1, self.n2 = stage.nodes
        self.tabs = Tabs(stage, recorder, seed=0)
        self._recorder = recorder
        self._publisher = Publisher(stage, [agent], seed=0)

    async def connect(self, node: str, called: str | None = None) -> Socket:
        """It has been welcomed."""
        client = self.knock(node, called)
        assert await client.settle(PATIENCE), f"{client.end} {client.code}"
        return client

    def knock(self, node: str, called: str | None = None) -> Socket:
        port = {each.name: each.port for each in self.stage.nodes}[node]
        path = f"/ws/agents/{self.agent.name}" + (f"?session_id={called}" if called else "")
        return Socket(self._recorder, node=node, port=port, path=path, agent=self.agent.name, called=called)

    async def insist(self, node: str) -> Socket:
        """Come again and again, until it is welcomed."""
        clients: list[Socket] = []

        async def is_welcomed() -> bool:
            clients.append(self.knock(node))
            return await clients[-1].settle(PATIENCE)

        assert await holds(is_welcomed, PATIENCE), f"nobody is let in: {clients[-1].code}"
        return clients[-1]

    async def say(self, times: int = 1) -> None:
        """Numbered messages, handed in to n2."""
        for _ in range(times):
            await self._publisher.publish(self.n2)

    async def ends(self, client: Socket, within: float = SOON) -> None:
        """It is over, or seems to go on."""
        await client.stay(within)

    async def enter(self, node: str, user: str) -> Tab:
        tab = Tab(self._recorder, {"n1": self.n1, "n2": self.n2}[node], self.room, user)
        assert await tab.settle(PATIENCE), f"{tab.end} {tab.code}"
        return tab

    async def look_round(self, within: float = STABLE_WITHIN) -> None:
        """Who is in the room, as all see it."""
        await self.audit(within).rooms(self.tabs, (self.room,))

    def audit(self, within: float = STABLE_WITHIN) -> Audit:
        return Audit(self.stage, self._recorder, [self.agent], within=within)


# ---- limits


async def frozen_and_taken_over(scene: Scene) -> None:
    """A node wakes up after its place was given away, with messages waiting for it."""
    old = await scene.connect("n1")
    await scene.say()
    freeze = await scene.stage.freeze_node(scene.n1)
    await scene.connect("n2")
    await scene.say(3)
    scene.stage.thaw_node(scene.n1, freeze)
    await scene.say(3)
    await scene.ends(old)


async def late_release(scene: Scene) -> None:
    """A session comes back under its own name while its node is frozen; the node wakes up and gives its place back."""
    old = await scene.connect("n1", "tab")
    freeze = await scene.stage.freeze_node(scene.n1)
    again = await scene.connect("n2", "tab")
    scene.stage.thaw_node(scene.n1, freeze)
    await scene.ends(old)
    await holds(lambda: _has_given_all_back(scene), SOON)
    await scene.say(3)
    await scene.insist("n2")
    await scene.say(3)
    await scene.ends(again, 1.0)


async def _has_given_all_back(scene: Scene) -> bool:
    return await scene.n1.count("leases", "known") + await scene.n1.count("leases", "unreleased") == 0


async def release_that_gets_lost(scene: Scene) -> None:
    """Somebody leaves while the node's link to Redis is cut: the place has to be given back all the same."""
    await scene.connect("n1")
    stall = scene.stage.stall_link(scene.n1, Way.BOTH)
    scene.audit().everybody_leaves()
    await holds(lambda: _unreleased(scene), SOON)
    scene.stage.reset_link(scene.n1)
    scene.stage.let_flow(scene.n1, stall)
    await holds(scene.stage.all_ready, SOON)
    await scene.audit().probe_once(scene.agent, 1, within=REPAIRED_WITHIN)


async def _unreleased(scene: Scene) -> bool:
    return await scene.n1.count("leases", "unreleased") > 0


async def one_after_the_other(scene: Scene) -> None:
    """Each newcomer evicts the one before, on the other node."""
    for number in range(20):
        await scene.connect(("n1", "n2")[number % 2])
        await scene.say()


async def killed(scene: Scene) -> None:
    """The place of a node that was killed is free when its lease has run out."""
    await scene.connect("n1")
    fault = await scene.stage.kill_node(scene.n1)
    await scene.stage.restart_node(scene.n1, fault)
    await scene.audit().probe_once(scene.agent, 1, within=TAKEN_OVER_WITHIN)


async def redis_forgets(scene: Scene) -> None:
    """Redis comes back empty, and does not hear from the node that holds the place."""
    old = await scene.connect("n1")
    stall = scene.stage.stall_link(scene.n1, Way.BOTH)
    empty = await scene.stage.empty_redis()
    await scene.stage.refill_redis(empty)
    await scene.insist("n2")
    await scene.say()
    await scene.ends(old)
    scene.stage.let_flow(scene.n1, stall)


async def same_name_twice(scene: Scene) -> None:
    """The same session from two places; there is a place for another one."""
    old = await scene.connect("n1", "tab")
    await scene.connect("n2", "tab")
    await scene.ends(old)


async def same_name_while_leaving(scene: Scene) -> None:
    """The same session again while it is being evicted for somebody else, by a node that is slow to do it."""
    old = await scene.connect("n1", "tab")
    await scene.connect("n2")
    freeze = await scene.stage.freeze_node(scene.n1)
    scene.knock("n2")
    await scene.say()
    again = scene.knock("n2", "tab")
    await holds(lambda: _is_settled(again), 1.0)
    scene.stage.thaw_node(scene.n1, freeze)
    await scene.say(3)
    await scene.ends(old)
    await again.settle(PATIENCE)


async def _is_settled(client: Socket) -> bool:
    return client.settled.done()


# ---- presence


async def reload(scene: Scene) -> None:
    """Somebody is away for a moment: long enough to be missed, and no longer."""
    await scene.enter("n2", "observer")
    (await scene.enter("n1", "ada")).leave()
    await holds(lambda: _is_missed(scene, "ada"), SOON)
    await scene.enter("n2", "ada")
    await scene.look_round()


async def _is_missed(scene: Scene, user: str) -> bool:
    """Redis knows of no session of the user, be the leave shown already or not."""
    users = (await scene.n2.http.get(f"/api/v1/rooms/{scene.room}/presence")).json()["users"]
    return all(entry["sessions"] == 0 for entry in users if entry["user_id"] == user)


async def leaves(scene: Scene) -> None:
    await scene.enter("n2", "observer")
    (await scene.enter("n1", "ada")).leave()
    await scene.look_round()


async def comes(scene: Scene) -> None:
    await scene.enter("n2", "observer")
    await scene.enter("n1", "ada")
    await scene.look_round()


async def killed_with_people(scene: Scene) -> None:
    await scene.enter("n2", "observer")
    await scene.enter("n1", "ada")
    fault = await scene.stage.kill_node(scene.n1)
    await scene.stage.restart_node(scene.n1, fault)
    await scene.look_round(DEAD_SWEPT_WITHIN)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`shows`: the mutant has to be found by one of these; anything else it is found by is welcome too.

    Without a mutant: something that was once found in the product.
    """

    mutant: str | None
    tell: Callable[[Scene], Coroutine[Any, Any, None]]
    shows: frozenset[Kind]
    policy: str = "evict_oldest"
    max_sessions: int = 1

    @property
    def name(self) -> str:
        return self.tell.__name__

    async def play(self, *, mutated: bool) -> list[Violation]:
        """Tell it to a cluster of its own: of mutants, or of the product."""
        history = History()
        recorder = Recorder(history)
        settings = {**settings_for(self.policy), "PRESENCE_GRACE": str(GRACE)}
        mutant = self.mutant if mutated else None
        agent = Agent("agent", self.max_sessions, self.policy)
        async with Stage(history, nodes=2, mutant=mutant, settings=settings) as stage:
            assert await set_limit(stage, agent)
            record_limits(stage, [agent])
            try:
                await self.tell(Scene(stage, recorder, agent, "room"))
            finally:
                await recorder.close()
            stage.look_for_dead()
        return verify(history)


_OVER = frozenset({Kind.LIMIT, Kind.LIMIT_PROVEN})
SCENARIOS = (
    Scenario("fencing_off", frozen_and_taken_over, frozenset({Kind.LIMIT_PROVEN})),
    Scenario("release_by_name", late_release, _OVER | {Kind.LATE_FAREWELL}),
    Scenario("repair_off", release_that_gets_lost, frozenset({Kind.NOT_ADMITTED}), "reject"),
    Scenario("eviction_without_waiting", one_after_the_other, frozenset({Kind.LATE_FAREWELL})),
    Scenario("heartbeats_outlive", killed, frozenset({Kind.NOT_ADMITTED}), "reject"),
    Scenario("no_recovery", redis_forgets, _OVER),
    Scenario("namesake_counts_twice", same_name_twice, frozenset({Kind.TWICE}), max_sessions=2),
    Scenario(None, same_name_while_leaving, frozenset(), max_sessions=2),
    Scenario("grace_ignored", reload, frozenset({Kind.FLAP})),
    Scenario("leave_lost", leaves, frozenset({Kind.PRESENCE})),
    Scenario("event_lost", comes, frozenset({Kind.STALE_VIEW})),
    Scenario("dead_stay", killed_with_people, frozenset({Kind.PRESENCE})),
)
