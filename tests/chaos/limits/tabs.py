"""Users with one or two tabs in a few rooms: they connect, leave, return within the grace or later, and watch."""

import asyncio
import random
from collections import Counter
from typing import Any

from tests.chaos.harness.history import Inconsistency, Left
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.tasks import Tasks
from tests.chaos.limits.recorder import Recorder, Socket
from tests.chaos.limits.view import NextStep, View
from tests.chaos.limits.workload import PATIENCE
from tests.support.cluster import NodeProcess

ROOMS = ("hall", "porch", "study")
"""Not those of `tests/chaos/messages`, which may run beside this check."""
USERS = 6
"""Users in each room; half of them with two tabs."""
ASK_AGAIN = 0.5
"""Seconds."""
PRESENCE_EVENTS = ("user_joined", "user_left", "presence")


class Tab(Socket):
    """One socket in a room, with its own view of the other users."""

    def __init__(self, recorder: Recorder, node: NodeProcess, room: str, user: str) -> None:
        self.view = View()
        self._is_asking = False
        self._reported = 0
        path = f"/ws/chat/{room}?user_id={user}&username={user}"
        super().__init__(recorder, node=node.name, port=node.port, path=path, room=room, user=user)

    def on_welcome(self, at: float, frame: dict[str, Any]) -> None:
        super().on_welcome(at, frame)
        self._follow(at, self.view.snapshot(frame, is_answer=False))

    def on_other_frame(self, at: float, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind in PRESENCE_EVENTS:
            if kind == "user_left":
                self.record(Left(at, self.number, self.room or "", frame["user_id"]))
            self._follow(at, self.view.event(frame))
        elif kind == "ok":
            self._is_asking = False
            self._follow(at, self.view.snapshot(frame, is_answer=True))
        elif kind == "error" and self._is_asking:
            self._loop.call_later(ASK_AGAIN, self._ask)

    def _follow(self, at: float, then: NextStep) -> None:
        for inconsistency in self.view.inconsistencies[self._reported :]:
            self.record(Inconsistency(at, self.number, self.room or "", inconsistency))
        self._reported = len(self.view.inconsistencies)
        if then is NextStep.ASK and not self._is_asking:
            self._is_asking = True
            self._ask()

    def _ask(self) -> None:
        if self.is_live:
            self.recorder.snapshots_requested += 1
            self.send(type="presence", id=self.recorder.snapshots_requested)


class Tabs:
    """The tabs of all users. After `start` and `stop` none connects or leaves. `connected`: the open sockets."""

    def __init__(self, stage: Stage, recorder: Recorder, *, seed: int) -> None:
        self._stage = stage
        self._recorder = recorder
        self._chance = random.Random(f"tabs {seed}")
        self._tasks = Tasks()
        self._is_stopping = False

    def start(self) -> None:
        for room in ROOMS:
            for number in range(USERS):
                for _ in range(1 + number % 2):
                    self._tasks.start(self._use(room, f"user.{number}"))

    def check(self) -> None:
        self._tasks.check()

    async def stop(self) -> None:
        """Let no tab connect or leave from now on."""
        self._is_stopping = True
        await self._tasks.close()
        for each in tuple(self._recorder.sockets):
            if each.room is not None and not each.is_live:
                each.disconnect()

    def live(self, room: str) -> list[Tab]:
        return [each for each in self._recorder.sockets if isinstance(each, Tab) and each.room == room and each.is_live]

    def connected(self, room: str) -> dict[str, int]:
        return dict(Counter(tab.user for tab in self.live(room)))

    async def join_marker(self, room: str, node: NodeProcess) -> None:
        """Let one more user join: a member that missed the last event notices it by the version of this one."""
        await Tab(self._recorder, node, room, "marker").wait_welcomed(PATIENCE)

    async def _use(self, room: str, user: str) -> None:
        chance = self._chance
        while not self._is_stopping:
            tab = Tab(self._recorder, chance.choice(self._stage.nodes), room, user)
            if await tab.wait_welcomed(PATIENCE):
                await tab.wait_closed(chance.uniform(0.5, 12.0))
            if chance.random() < 0.6:
                tab.close()
            else:
                tab.disconnect(reset=chance.random() < 0.5)
            # Sometimes shorter than the grace, sometimes longer.
            await asyncio.sleep(chance.uniform(0.1, 5.0))
