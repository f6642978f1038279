"""After the faults: wait until all is quiet, then ask the nodes what they know, and come for the free places.

Nothing is judged here: what was found at last is written down, and `verify.py` compares it. Waiting ends as soon as all
fits together; where it never does, after `within` seconds, with what does not.
"""

import asyncio
from typing import Any

import httpx

from tests.chaos.harness.history import History, Probed, RollCall, Roster, Viewed
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.waiting import holds
from tests.chaos.limits.recorder import Recorder, Socket
from tests.chaos.limits.tabs import ROOMS, Tabs
from tests.chaos.limits.workload import PATIENCE, Agent, Limits
from tests.support.cluster import NodeProcess

STABLE_WITHIN = 60.0
ADMIT_WITHIN = 10.0


async def _get(node: NodeProcess, path: str) -> dict[str, Any] | None:
    try:
        answer = await node.http.get(path)
    except httpx.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None


class Audit:
    """Each method may be called by itself, in this order. `within`: seconds to become stable."""

    def __init__(self, stage: Stage, recorder: Recorder, agents: list[Agent], *, within: float = STABLE_WITHIN) -> None:
        self._stage = stage
        self._recorder = recorder
        self._agents = agents
        self._within = within

    @property
    def _history(self) -> History:
        return self._stage.history

    # ---- agents

    async def rosters(self, moment: str) -> None:
        """Every node's list of the sessions of every agent."""
        found: dict[tuple[str, str], Roster] = {}

        async def ask(node: NodeProcess, agent: Agent) -> bool:
            known = await _get(node, f"/api/v1/agents/{agent.name}")
            listed = ("no answer",) if known is None else tuple(sorted(s["session_id"] for s in known["sessions"]))
            connected = tuple(sorted(s.session_id for s in self._live(agent)))
            now = self._history.now()
            found[node.name, agent.name] = Roster(now, moment, agent.name, node.name, listed, connected)
            return listed == connected

        async def all_agree() -> bool:
            pairs = [(node, agent) for node in self._stage.nodes for agent in self._agents]
            return all(await asyncio.gather(*(ask(*pair) for pair in pairs)))

        await holds(all_agree, self._within)
        for roster in found.values():
            self._history.add(roster)

    def _live(self, agent: Agent) -> list[Socket]:
        return [each for each in self._recorder.sockets if each.agent == agent.name and each.is_live]

    def everybody_leaves(self) -> None:
        for agent in self._agents:
            for each in self._live(agent):
                each.leave()

    async def probe(self) -> None:
        """As many as the limit come for the places of each agent, one after the other, and then one more."""
        await asyncio.gather(*(self._probe(agent) for agent in self._agents))

    async def _probe(self, agent: Agent) -> None:
        for place in range(1, agent.max_sessions + 2):
            await self.probe_once(agent, place)

    async def probe_once(self, agent: Agent, place: int, *, within: float = ADMIT_WITHIN) -> Socket:
        """Come, and come again when told to, for `within` seconds. One beyond the limit comes once."""
        began = self._history.now()
        code: int | None = None
        tries = 0
        while True:
            node = self._stage.nodes[(place + tries) % len(self._stage.nodes)]
            path = f"/ws/agents/{agent.name}"
            client = Socket(self._recorder, node=node.name, port=node.port, path=path, agent=agent.name)
            admitted = await client.settle(PATIENCE)
            tries += 1
            seconds = self._history.now() - began
            code = code if admitted else client.code
            if admitted or seconds > within or place > agent.max_sessions:
                self._history.add(Probed(self._history.now(), agent.name, place, admitted, seconds, code))
                return client
            await asyncio.sleep(min(client.retry_after or 0.5, max(0.0, within - seconds)))

    # ---- rooms

    async def rooms(self, tabs: Tabs, names: tuple[str, ...] = ROOMS) -> None:
        """What every node lists, and what every member has put together."""
        calls: dict[tuple[str, str], RollCall] = {}
        views: dict[int, Viewed] = {}

        async def ask(node: NodeProcess, room: str) -> bool:
            known = await _get(node, f"/api/v1/rooms/{room}/presence")
            listed = {"no answer": 0} if known is None else {u["user_id"]: int(u["sessions"]) for u in known["users"]}
            connected = tabs.connected(room)
            calls[node.name, room] = RollCall(self._history.now(), room, node.name, _sorted(listed), _sorted(connected))
            return listed == connected

        async def all_agree() -> bool:
            views.clear()
            agree = await asyncio.gather(*(ask(node, room) for node in self._stage.nodes for room in names))
            for room in names:
                for tab in tabs.live(room):
                    seen, connected = tuple(sorted(tab.view.users)), tuple(sorted(tabs.connected(room)))
                    views[tab.number] = Viewed(self._history.now(), tab.number, room, seen, connected)
            return all(agree) and all(view.seen == view.connected for view in views.values())

        await holds(all_agree, self._within)
        for call in calls.values():
            self._history.add(call)
        for view in views.values():
            self._history.add(view)


def _sorted(users: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(users.items()))


async def settle(stage: Stage, recorder: Recorder, agents: list[Agent], tabs: Tabs, limits: Limits) -> None:
    """All of it, once faults and workload have ended and the publisher still runs."""
    stage.look_for_dead()
    await holds(stage.all_ready, STABLE_WITHIN)
    await holds(limits.give, STABLE_WITHIN)
    audit = Audit(stage, recorder, agents)
    for number, room in enumerate(ROOMS):
        await tabs.mark(room, stage.nodes[number % len(stage.nodes)])
    await asyncio.gather(audit.rosters("after the faults"), audit.rooms(tabs))
    audit.everybody_leaves()
    await audit.rosters("after all have left")
    await audit.probe()
    await audit.rosters("after others have come")
    audit.everybody_leaves()
    stage.look_for_dead()
