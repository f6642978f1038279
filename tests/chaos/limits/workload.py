"""Clients of a few agents that connect and leave at random, and a publisher whose messages prove which sessions live.

The actions are drawn from the seed; their times depend on the answers of the cluster.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import httpx

from tests.chaos.harness.history import LimitSet, Published
from tests.chaos.harness.pacing import ticks
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.tasks import Tasks
from tests.chaos.harness.waiting import becomes_true
from tests.chaos.limits.recorder import Recorder, Socket
from tests.support.cluster import NodeProcess

PATIENCE = 14.0
"""Seconds that a client waits for `welcome`: a node may wait 10 s for a place that is being released."""
AT_ONCE_MAX = 200
"""Clients that are connecting or connected at the same time."""
STAY_MEAN = 0.6
PUBLISH_EVERY = 0.06
LOOK_EVERY = 0.01
"""Seconds between two looks at which connects are due."""
PUBLISHES_AT_ONCE = 32
NAMES = ("tab.1", "tab.2", "tab.3")


@dataclass(frozen=True, slots=True)
class Agent:
    """`is_default`: it lives by the nodes' settings, not by a limit of its own."""

    name: str
    max_sessions: int
    policy: str
    is_default: bool = False


DEFAULT_MAX = 1
"""AGENT_MAX_SESSIONS of the nodes. No agent has less: one whose own limit is lost with the data of Redis may then have
fewer sessions for a while, but never more than its limit."""


def agents_for(policy: str) -> list[Agent]:
    """`policy`: reject, evict_oldest, or both."""
    policies = ("reject", "evict_oldest") if policy == "both" else (policy,)
    own = [Agent(f"{p}.{limit}", limit, p) for p in policies for limit in (1, 2, 5)]
    return [Agent("default", DEFAULT_MAX, policies[-1], is_default=True), *own]


def settings_for(policy: str) -> dict[str, str]:
    default = agents_for(policy)[0]
    return {"AGENT_MAX_SESSIONS": str(default.max_sessions), "AGENT_LIMIT_POLICY": default.policy}


async def set_limit(stage: Stage, agent: Agent) -> bool:
    """Set it on the first node that answers; returns whether one did."""
    for node in stage.live_nodes():
        try:
            body = {"max_sessions": agent.max_sessions, "policy": agent.policy}
            answer = await node.http.put(f"/api/v1/agents/{agent.name}/limit", json=body)
        except httpx.TransportError:
            continue
        if answer.status_code == 200:
            return True
    return False


def record_limits(stage: Stage, agents: list[Agent]) -> None:
    for agent in agents:
        now = stage.history.now()
        stage.history.add(LimitSet(now, agent.name, agent.max_sessions, agent.policy))


class Limits:
    """Sets the agents' own limits, and sets them again whenever Redis was restarted empty."""

    def __init__(self, stage: Stage, agents: list[Agent]) -> None:
        self._stage = stage
        self._agents = [agent for agent in agents if not agent.is_default]
        self._applied_at = -1

    async def apply(self) -> bool:
        """Set them if necessary; returns whether all are set."""
        data_losses = self._stage.redis.data_losses
        if self._applied_at == data_losses:
            return True
        if not all([await set_limit(self._stage, agent) for agent in self._agents]):
            return False
        if self._stage.redis.data_losses == data_losses:
            self._applied_at = data_losses
        return self._applied_at == data_losses

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            self._stage.redis.data_lost.clear()
            await becomes_true(self.apply, inf)
            await self._stage.redis.data_lost.wait()


class Publisher:
    """Sends a numbered message to all agents every PUBLISH_EVERY seconds, through a random node. Some are lost."""

    def __init__(self, stage: Stage, agents: list[Agent], seed: int) -> None:
        self._stage = stage
        self._agents = [agent.name for agent in agents]
        self._chance = random.Random(f"publisher {seed}")
        self._tasks = Tasks()
        self._number = 0

    async def run(self) -> None:
        """Runs until it is cancelled."""
        try:
            async for _ in ticks(PUBLISH_EVERY):
                self._tasks.check()
                if (up := self._stage.live_nodes()) and len(self._tasks.running) < PUBLISHES_AT_ONCE:
                    self._tasks.start(self.publish(self._chance.choice(up)))
        finally:
            await self._tasks.close()

    async def publish(self, node: NodeProcess) -> None:
        self._number += 1
        number = self._number
        messages = [{"agent_id": agent, "content": {"n": number}} for agent in self._agents]
        history = self._stage.history
        history.add(Published(history.now(), number))
        try:
            await node.http.post("/api/v1/messages", json={"messages": messages}, timeout=2)
        except httpx.TransportError:
            pass  # the message may arrive or not; both are allowed


class Workload:
    """`run` until enough connects have begun, then `finish`; sessions that are open then stay open."""

    def __init__(self, stage: Stage, recorder: Recorder, agents: list[Agent], *, seed: int, rate: float) -> None:
        self._stage = stage
        self._recorder = recorder
        self._agents = agents
        # Refused clients retry: without weights nearly all connects would be refusals.
        self._weights = [1 if agent.policy == "reject" else 4 for agent in agents]
        self._chance = random.Random(f"workload {seed}")
        self._rate = rate
        self._tasks = Tasks()
        self.connects = 0
        self.is_stopping = False

    async def run(self, connects: int, is_late: Callable[[], bool]) -> None:
        """Until `connects` have begun, or `is_late` returns true."""
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        async for _ in ticks(LOOK_EVERY):
            self._tasks.check()
            if self.connects >= connects or is_late():
                return
            # Connects that AT_ONCE_MAX has delayed are made up for, at most those of one second at once.
            due = max(due, loop.time() - 1.0, began)
            while due <= loop.time() and len(self._tasks.running) < AT_ONCE_MAX and self.connects < connects:
                burst = self._chance.randint(4, 8) if self._chance.random() < 0.02 else 1
                agent = self._chance.choices(self._agents, self._weights)[0]
                for _ in range(burst):
                    self._tasks.start(self._visit(agent))
                due += burst / self._rate

    async def finish(self) -> None:
        """Begin no more connects; clients that are not admitted yet disconnect."""
        self.is_stopping = True
        await self._tasks.close()
        for each in tuple(self._recorder.sockets):
            if each.agent is not None and not each.is_live:
                each.disconnect()

    async def _visit(self, agent: Agent) -> None:
        """Connect, stay for a while, leave; if refused, retry up to two times."""
        chance = self._chance
        session_name = chance.choice(NAMES) if chance.random() < 0.25 else None
        is_patient = chance.random() < 0.8
        for _ in range(3):
            if self.is_stopping:
                return
            client = self._connect(agent, session_name)
            if await client.wait_welcomed(PATIENCE):
                await self._remain(client, agent)
            if client.code != 1013:
                return
            await asyncio.sleep(client.retry_after or 1.0 if is_patient else chance.uniform(0.0, 0.2))

    async def _remain(self, client: Socket, agent: Agent) -> None:
        chance = self._chance
        how = chance.random()
        await client.wait_closed(chance.expovariate(1 / STAY_MEAN) if how < 0.85 else 5 * STAY_MEAN)
        if how < 0.55:
            client.close()
        elif how < 0.8:
            client.disconnect(reset=chance.random() < 0.5)
        else:
            if agent.policy == "evict_oldest":
                await client.wait_closed(20 * STAY_MEAN)  # long enough to be evicted by another client
            client.close()

    def _connect(self, agent: Agent, session_name: str | None) -> Socket:
        self.connects += 1
        node = self._chance.choice(self._stage.nodes)
        query = "" if session_name is None else f"?session_id={session_name}"
        return Socket(
            self._recorder,
            node=node.name,
            port=node.port,
            path=f"/ws/agents/{agent.name}{query}",
            agent=agent.name,
            session_name=session_name,
        )
