"""The actions of which the scenarios of limits and presence are made."""

from tests.chaos.harness.stage import Stage
from tests.chaos.harness.waiting import becomes_true
from tests.chaos.limits.audit import Audit
from tests.chaos.limits.recorder import Recorder, Socket
from tests.chaos.limits.tabs import Tab, Tabs
from tests.chaos.limits.workload import Agent, Publisher

PATIENCE = 12.0
"""Seconds for a `welcome`: a node may wait 10 s for a place that is being released."""
SOON = 3.0
STABLE_WITHIN = 6.0


class Scene:
    """Two nodes, n1 and n2, each behind its own proxy, one agent and one room. Messages are published through n2."""

    def __init__(self, stage: Stage, recorder: Recorder, agent: Agent, room: str) -> None:
        self.stage = stage
        self.agent = agent
        self.room = room
        self.n1, self.n2 = stage.nodes
        self.tabs = Tabs(stage, recorder, seed=0)
        self._recorder = recorder
        self._publisher = Publisher(stage, [agent], seed=0)

    async def connect(self, node: str, session_name: str | None = None) -> Socket:
        """Connect a client of the agent; returns once it is welcomed."""
        client = self.start_connecting(node, session_name)
        assert await client.wait_welcomed(PATIENCE), f"{client.end} {client.code}"
        return client

    def start_connecting(self, node: str, session_name: str | None = None) -> Socket:
        port = {each.name: each.port for each in self.stage.nodes}[node]
        path = f"/ws/agents/{self.agent.name}" + (f"?session_id={session_name}" if session_name else "")
        return Socket(self._recorder, node=node, port=port, path=path, agent=self.agent.name, session_name=session_name)

    async def connect_with_retries(self, node: str) -> Socket:
        """Connect clients of the agent one after the other until one is welcomed."""
        clients: list[Socket] = []

        async def is_welcomed() -> bool:
            clients.append(self.start_connecting(node))
            return await clients[-1].wait_welcomed(PATIENCE)

        assert await becomes_true(is_welcomed, PATIENCE), f"no client is admitted: {clients[-1].code}"
        return clients[-1]

    async def publish(self, times: int = 1) -> None:
        """Publish numbered messages through n2."""
        for _ in range(times):
            await self._publisher.publish(self.n2)

    async def wait_closed(self, client: Socket, within: float = SOON) -> None:
        """Wait until the connection is closed, for at most `within` seconds."""
        await client.wait_closed(within)

    def start_joining(self, node: str, room: str, user: str) -> Tab:
        return Tab(self._recorder, {"n1": self.n1, "n2": self.n2}[node], room, user)

    async def join_room(self, node: str, user: str) -> Tab:
        tab = self.start_joining(node, self.room, user)
        assert await tab.wait_welcomed(PATIENCE), f"{tab.end} {tab.code}"
        return tab

    async def audit_room(self, within: float = STABLE_WITHIN, *, rooms: tuple[str, ...] = ()) -> None:
        """Add to the history what nodes list for the room, or for `rooms`, and what their members know."""
        await self.audit(within).rooms(self.tabs, rooms or (self.room,))

    def audit(self, within: float = STABLE_WITHIN) -> Audit:
        return Audit(self.stage, self._recorder, [self.agent], within=within)
