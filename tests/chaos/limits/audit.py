"""After the faults: wait until nodes and clients agree, record what the nodes list, and take the free places.

Nothing is judged here: the last lists are added to the history, and `verify.py` compares them. Waiting ends as soon as
all lists agree, and after `within` seconds otherwise.
"""

import asyncio
from typing import Any

import httpx

from tests.chaos.harness.history import FinalView, History, PlaceProbe, PresenceList, SessionList
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.waiting import becomes_true
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
    """Each method may be called alone; together in this order. `within`: seconds to wait for agreement."""

    def __init__(self, stage: Stage, recorder: Recorder, agents: list[Agent], *, within: float = STABLE_WITHIN) -> None:
        self._stage = stage
        self._recorder = recorder
        self._agents = agents
        self._within = within

    @property
    def _history(self) -> History:
        return self._stage.history

    # ---- agents

    async def session_lists(self, moment: str) -> None:
        """Add every node's list of the sessions of every agent. `moment`: when, for the evidence."""
        found: dict[tuple[str, str], SessionList] = {}

        async def ask(node: NodeProcess, agent: Agent) -> bool:
            answer = await _get(node, f"/api/v1/agents/{agent.name}")
            listed = ("no answer",) if answer is None else tuple(sorted(s["session_id"] for s in answer["sessions"]))
            connected = tuple(sorted(s.session_id for s in self._live(agent)))
            now = self._history.now()
            found[node.name, agent.name] = SessionList(now, moment, agent.name, node.name, listed, connected)
            return listed == connected

        async def all_agree() -> bool:
            pairs = [(node, agent) for node in self._stage.nodes for agent in self._agents]
            return all(await asyncio.gather(*(ask(*pair) for pair in pairs)))

        await becomes_true(all_agree, self._within)
        for session_list in found.values():
            self._history.add(session_list)

    def _live(self, agent: Agent) -> list[Socket]:
        return [each for each in self._recorder.sockets if each.agent == agent.name and each.is_live]

    def close_all(self) -> None:
        for agent in self._agents:
            for each in self._live(agent):
                each.close()

    async def probe(self) -> None:
        """Connect as many clients as the limit to each agent, one after the other, and then one more."""
        await asyncio.gather(*(self._probe(agent) for agent in self._agents))

    async def _probe(self, agent: Agent) -> None:
        for place in range(1, agent.max_sessions + 2):
            await self.probe_once(agent, place)

    async def probe_once(self, agent: Agent, place: int, *, within: float = ADMIT_WITHIN) -> Socket:
        """Connect, and retry as refusals demand, for `within` seconds. Beyond the limit connect once."""
        began = self._history.now()
        code: int | None = None
        tries = 0
        while True:
            node = self._stage.nodes[(place + tries) % len(self._stage.nodes)]
            path = f"/ws/agents/{agent.name}"
            client = Socket(self._recorder, node=node.name, port=node.port, path=path, agent=agent.name)
            admitted = await client.wait_welcomed(PATIENCE)
            tries += 1
            seconds = self._history.now() - began
            code = code if admitted else client.code
            if admitted or seconds > within or place > agent.max_sessions:
                self._history.add(PlaceProbe(self._history.now(), agent.name, place, admitted, seconds, code))
                return client
            await asyncio.sleep(min(client.retry_after or 0.5, max(0.0, within - seconds)))

    # ---- rooms

    async def rooms(self, tabs: Tabs, names: tuple[str, ...] = ROOMS) -> None:
        """Add what every node lists for the rooms, and what every member knows."""
        calls: dict[tuple[str, str], PresenceList] = {}
        views: dict[int, FinalView] = {}

        async def ask(node: NodeProcess, room: str) -> bool:
            answer = await _get(node, f"/api/v1/rooms/{room}/presence")
            listed = {"no answer": 0} if answer is None else {u["user_id"]: int(u["sessions"]) for u in answer["users"]}
            connected = tabs.connected(room)
            calls[node.name, room] = PresenceList(
                self._history.now(), room, node.name, _sorted(listed), _sorted(connected)
            )
            return listed == connected

        async def all_agree() -> bool:
            views.clear()
            agree = await asyncio.gather(*(ask(node, room) for node in self._stage.nodes for room in names))
            for room in names:
                for tab in tabs.live(room):
                    seen, connected = tuple(sorted(tab.view.users)), tuple(sorted(tabs.connected(room)))
                    views[tab.number] = FinalView(self._history.now(), tab.number, room, seen, connected)
            return all(agree) and all(view.seen == view.connected for view in views.values())

        await becomes_true(all_agree, self._within)
        for call in calls.values():
            self._history.add(call)
        for view in views.values():
            self._history.add(view)


def _sorted(users: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(users.items()))


async def audit_all(stage: Stage, recorder: Recorder, agents: list[Agent], tabs: Tabs, limits: Limits) -> None:
    """The whole audit, after faults and workload have ended, while the publisher still runs."""
    stage.record_dead_nodes()
    await becomes_true(stage.all_ready, STABLE_WITHIN)
    await becomes_true(limits.apply, STABLE_WITHIN)
    audit = Audit(stage, recorder, agents)
    for number, room in enumerate(ROOMS):
        await tabs.join_marker(room, stage.nodes[number % len(stage.nodes)])
    await asyncio.gather(audit.session_lists("after the faults"), audit.rooms(tabs))
    audit.close_all()
    await audit.session_lists("after all have left")
    await audit.probe()
    await audit.session_lists("after others have come")
    audit.close_all()
    stage.record_dead_nodes()
