"""For each mutant the shortest scenario that reveals its missing safety. The product has to be clean in all of them.

A scenario waits only for events, each within a bound, and never for a fixed time.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tests.chaos.harness.history import History
from tests.chaos.harness.proxy import Part, Way
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.harness.waiting import becomes_true
from tests.chaos.limits.recorder import Recorder, Socket
from tests.chaos.limits.room_steps import (
    link_stays_on_the_former_server,
    node_with_users_killed,
    rooms_joined_at_once,
    sessions_of_a_room_vanish,
    user_joins,
    user_leaves,
    user_leaves_before_the_join_is_confirmed,
    user_reloads,
    users_of_a_room_vanish,
)
from tests.chaos.limits.scene import PATIENCE, SOON, Scene
from tests.chaos.limits.verify import verify
from tests.chaos.limits.verify_rooms import GRACE
from tests.chaos.limits.workload import Agent, record_limits, set_limit, settings_for
from tests.support.node import STEADY

REPAIRED_WITHIN = 6.0
"""Seconds in which anti-entropy has to release a place whose release was lost."""
TAKEN_OVER_WITHIN = 9.0
"""Seconds in which the place of a dead node has to be free."""


# ---- limits


async def node_resumes_after_its_place_was_taken(scene: Scene) -> None:
    """A frozen node resumes, with messages waiting for it, after another session has got the place of its session."""
    old = await scene.connect("n1")
    await scene.publish()
    freeze = await scene.stage.freeze_node(scene.n1)
    await scene.connect("n2")
    await scene.publish(3)
    scene.stage.thaw_node(scene.n1, freeze)
    await scene.publish(3)
    await scene.wait_closed(old)


async def late_release_after_reconnect(scene: Scene) -> None:
    """A session reconnects under its name while its node is frozen; the node resumes and releases the old lease."""
    old = await scene.connect("n1", "tab")
    freeze = await scene.stage.freeze_node(scene.n1)
    again = await scene.connect("n2", "tab")
    scene.stage.thaw_node(scene.n1, freeze)
    await scene.wait_closed(old)
    await becomes_true(lambda: _has_released_all(scene), SOON)
    await scene.publish(3)
    await scene.connect_with_retries("n2")
    await scene.publish(3)
    await scene.wait_closed(again, 1.0)


async def _has_released_all(scene: Scene) -> bool:
    return await scene.n1.count("leases", "known") + await scene.n1.count("leases", "unreleased") == 0


async def release_lost_with_the_link(scene: Scene) -> None:
    """A session ends while its node is cut off from Redis: its place has to be released nevertheless."""
    await scene.connect("n1")
    stall = scene.stage.stall_link(scene.n1, Way.BOTH)
    scene.audit().close_all()
    await becomes_true(lambda: _unreleased(scene), SOON)
    scene.stage.reset_link(scene.n1)
    scene.stage.resume_link(scene.n1, stall)
    await becomes_true(scene.stage.all_ready, SOON)
    await scene.audit().probe_once(scene.agent, 1, within=REPAIRED_WITHIN)


async def _unreleased(scene: Scene) -> bool:
    return await scene.n1.count("leases", "unreleased") > 0


async def evictions_in_sequence(scene: Scene) -> None:
    """Each new session evicts the one before, which is on the other node."""
    for number in range(20):
        await scene.connect(("n1", "n2")[number % 2])
        await scene.publish()


async def node_killed(scene: Scene) -> None:
    """The place of a session of a killed node is free when the lease has run out."""
    await scene.connect("n1")
    fault = await scene.stage.kill_node(scene.n1)
    await scene.stage.restart_node(scene.n1, fault)
    await scene.audit().probe_once(scene.agent, 1, within=TAKEN_OVER_WITHIN)


async def redis_restarted_empty(scene: Scene) -> None:
    """Redis is restarted empty, and is not reachable for the node that holds the place."""
    old = await scene.connect("n1")
    stall = scene.stage.stall_link(scene.n1, Way.BOTH)
    empty = await scene.stage.redis.kill()
    await scene.stage.redis.restart_empty(empty)
    await scene.connect_with_retries("n2")
    await scene.publish()
    await scene.wait_closed(old)
    scene.stage.resume_link(scene.n1, stall)


async def leases_vanish(scene: Scene) -> None:
    """The leases of an agent vanish from Redis while it has as many sessions as it may."""
    old = await scene.connect("n1")
    await scene.stage.redis.delete_keys(f"held:agent:{scene.agent.name}")
    await scene.start_connecting("n2").wait_welcomed(PATIENCE)
    await scene.publish(3)
    await scene.wait_closed(old, 1.0)


async def session_ends_before_its_place_is_granted(scene: Scene) -> None:
    """A client goes away while its node asks for its place."""
    client = scene.start_connecting("n1")
    await becomes_true(lambda: _is_acquiring_or_settled(scene, client), SOON)
    client.disconnect(reset=True)
    await becomes_true(lambda: _has_released_all(scene), SOON)
    await scene.audit().probe_once(scene.agent, 1, within=REPAIRED_WITHIN)


async def _is_acquiring_or_settled(scene: Scene, client: Socket) -> bool:
    return client.settled.done() or await scene.n1.count("leases", "known") > 0


async def leases_stay_on_the_former_server(scene: Scene) -> None:
    """The address leads to another server, and the connection with the leases of a node stays on the former one."""
    old = await scene.connect("n1")
    await scene.stage.switch_server(scene.n1, Part.COUNTED)
    await scene.connect_with_retries("n2")
    await scene.publish(3)
    await scene.wait_closed(old)


async def leases_stay_on_the_former_server_without_a_link(scene: Scene) -> None:
    """The same, while the node has no link, which alone can show that its leases are on another server."""
    old = await scene.connect("n1")
    link = scene.stage.lose_link(scene.n1)
    await scene.stage.switch_server(scene.n1, Part.COUNTED)
    await scene.start_connecting("n2").wait_welcomed(PATIENCE)  # no order to close reaches the node
    await scene.publish(3)
    scene.stage.resume_link(scene.n1, link, Part.LINK)
    await scene.connect_with_retries("n2")
    await scene.publish(3)
    await scene.wait_closed(old)


async def same_session_id_twice(scene: Scene) -> None:
    """A session connects twice under one name; the limit would allow two sessions."""
    old = await scene.connect("n1", "tab")
    await scene.connect("n2", "tab")
    await scene.wait_closed(old)


async def same_session_id_during_eviction(scene: Scene) -> None:
    """A session reconnects while its node, which is frozen, should evict it for another session."""
    old = await scene.connect("n1", "tab")
    await scene.connect("n2")
    freeze = await scene.stage.freeze_node(scene.n1)
    scene.start_connecting("n2")
    await scene.publish()
    again = scene.start_connecting("n2", "tab")
    await becomes_true(lambda: _is_settled(again), 1.0)
    scene.stage.thaw_node(scene.n1, freeze)
    await scene.publish(3)
    await scene.wait_closed(old)
    await again.wait_welcomed(PATIENCE)


async def _is_settled(client: Socket) -> bool:
    return client.settled.done()


@dataclass(frozen=True, slots=True)
class Scenario:
    """`steps`: what happens. `found_as`: the mutant has to violate one of these rules; it may violate others too.

    A scenario without a mutant is one in which an error of the product itself was once found.
    """

    mutant: str | None
    steps: Callable[[Scene], Coroutine[Any, Any, None]]
    found_as: frozenset[Kind]
    policy: str = "evict_oldest"
    max_sessions: int = 1

    @property
    def name(self) -> str:
        return self.steps.__name__

    async def run(self, *, mutated: bool) -> list[Violation]:
        """Run it on a cluster of its own, of mutants or of the product; returns all violations."""
        history = History()
        recorder = Recorder(history)
        settings = {**settings_for(self.policy), "PRESENCE_GRACE": str(GRACE)}
        mutant = self.mutant if mutated else None
        agent = Agent("agent", self.max_sessions, self.policy)
        async with Stage(history, nodes=2, mutant=mutant, settings=settings, times=STEADY) as stage:
            assert await set_limit(stage, agent)
            record_limits(stage, [agent])
            try:
                await self.steps(Scene(stage, recorder, agent, "room"))
            finally:
                recorder.close()
            stage.record_dead_nodes()
        return verify(history)


_OVER = frozenset({Kind.LIMIT, Kind.LIMIT_PROVEN})
SCENARIOS = (
    Scenario("fencing_off", node_resumes_after_its_place_was_taken, frozenset({Kind.LIMIT_PROVEN})),
    Scenario("release_by_name", late_release_after_reconnect, _OVER | {Kind.LATE_BYE}),
    Scenario("repair_off", release_lost_with_the_link, frozenset({Kind.NOT_ADMITTED}), "reject"),
    Scenario("eviction_without_waiting", evictions_in_sequence, frozenset({Kind.LATE_BYE})),
    Scenario("heartbeats_outlive_node", node_killed, frozenset({Kind.NOT_ADMITTED}), "reject"),
    Scenario("no_recovery_wait", redis_restarted_empty, _OVER),
    Scenario("lost_leases_unnoticed", leases_vanish, _OVER, "reject"),
    Scenario(
        "release_overtakes_acquire",
        session_ends_before_its_place_is_granted,
        frozenset({Kind.NOT_ADMITTED}),
        "reject",
    ),
    Scenario(None, leases_stay_on_the_former_server, frozenset()),
    Scenario("server_unconfirmed", leases_stay_on_the_former_server_without_a_link, _OVER),
    Scenario("server_proof_off", link_stays_on_the_former_server, frozenset({Kind.STALE_VIEW})),
    Scenario("rooms_unchecked", users_of_a_room_vanish, frozenset({Kind.PRESENCE})),
    Scenario(None, sessions_of_a_room_vanish, frozenset()),
    Scenario("same_session_id_counts_twice", same_session_id_twice, frozenset({Kind.DUPLICATE_NAME}), max_sessions=2),
    Scenario(None, same_session_id_during_eviction, frozenset(), max_sessions=2),
    Scenario("grace_ignored", user_reloads, frozenset({Kind.PREMATURE_LEAVE})),
    Scenario("leave_lost", user_leaves, frozenset({Kind.PRESENCE})),
    Scenario("join_event_lost", user_joins, frozenset({Kind.STALE_VIEW})),
    Scenario("batch_answers_mixed_up", rooms_joined_at_once, frozenset({Kind.STALE_VIEW, Kind.UNEXPECTED})),
    Scenario("leave_overtakes_join", user_leaves_before_the_join_is_confirmed, frozenset({Kind.PRESENCE})),
    Scenario("dead_sessions_stay", node_with_users_killed, frozenset({Kind.PRESENCE})),
)
