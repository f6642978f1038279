"""Somebody who has nothing to do with the attack: an agent session and a room session on the attacked node.

Each of them pings every 20 ms and publishes every 100 ms in turn; a witness of each on the other node hears it. Times
of arrival are those of the kernel, so that they hold although this process is busy.
"""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any, Self

from tests.attack.window import Window
from tests.chaos.harness.connection import Connection, ConnectionRegistry
from tests.chaos.harness.history import End, History
from tests.chaos.harness.pacing import ticks
from tests.chaos.harness.tasks import Tasks
from tests.chaos.harness.waiting import becomes_true

PING_EVERY = 0.02
PUBLISH_EVERY = 5
"""Pings between two publishes."""
COMES_BACK_AFTER = 0.2
WELCOME_WITHIN = 60.0
ROOM, AGENT = "bystanders", "bystander"
PATHS = (f"/ws/chat/{ROOM}?user_id=bystander", f"/ws/agents/{AGENT}?user_id=bystander&session_id=s{{port}}")


class Session(Connection):
    """One of the connections. `channel`: the number of its channel; `is_witness`: it is on the other node."""

    def __init__(self, bystander: "Bystander", place: int) -> None:
        self.channel, self.is_witness = place // 2, place % 2 == 1
        port = bystander.ports[self.is_witness]
        super().__init__(bystander.registry, port=port, path=PATHS[self.channel].format(port=port))
        self._bystander = bystander

    def on_frame(self, at: float, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if self.is_witness:
            if kind == "message":
                self._bystander.on_heard(frame["content"]["n"])
            elif kind == "resync":
                self._bystander.on_resync(self.channel, frame["offset"] or 0)
        elif kind == "pong":
            self._bystander.on_pong(at, frame["id"])
        elif kind in ("ok", "error"):
            self._bystander.on_answer(self.channel, at, frame)

    def on_end(self, at: float, end: End, code: int | None, retry_after: float | None) -> None:
        self._bystander.on_end(self, end, code)


class Bystander:
    """`async with Bystander((attacked, other)) as bystander:`, of two ports; `begin` a window, and `settle` it."""

    def __init__(self, ports: tuple[int, int]) -> None:
        self.ports = ports
        self.registry = ConnectionRegistry(History())
        self._tasks = Tasks()
        self._numbers = itertools.count(1)
        self._sessions: list[Session] = []
        self._is_quiet = False
        self._is_leaving = False
        self._forget()

    async def __aenter__(self) -> Self:
        for place in range(2 * len(PATHS)):
            self._sessions.append(await self._connect(place))
        self._tasks.start(self._speak())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._is_leaving = True
        await self._tasks.close()
        self.registry.close()

    async def _connect(self, place: int) -> Session:
        session = Session(self, place)
        if not await session.wait_welcomed(WELCOME_WITHIN):
            raise AssertionError(f"the bystander was not admitted: {session.end} {session.code}")
        return session

    def _forget(self) -> None:
        self._window = Window()
        self._pings: dict[int, float] = {}
        self._publishes: dict[int, float] = {}
        self._unheard: dict[int, tuple[int, int]] = {}
        """Channel and offset of the messages that are confirmed, and that no witness has heard."""
        self._told = dict.fromkeys(range(len(PATHS)), -1)
        """The offset up to which `resync` has told that messages may be missing, by channel."""
        self._heard: set[int] = set()
        self._spoke: set[int] = set()

    # ---- speaking

    def _speakers(self) -> Iterator[Session]:
        return (session for session in self._sessions if not session.is_witness and session.is_live)

    async def _speak(self) -> None:
        """Runs until it is cancelled."""
        turn = 0
        async for _ in ticks(PING_EVERY):
            self._tasks.check()
            if self._is_quiet:
                continue
            turn += 1
            for place, session in enumerate(self._speakers()):
                number = next(self._numbers)
                self._pings[number] = session.now()
                session.send(type="ping", id=number)
                if turn % (2 * PUBLISH_EVERY) == place * PUBLISH_EVERY:
                    number = next(self._numbers)
                    self._publishes[number] = session.now()
                    session.send(type="message", id=number, content={"n": number})

    # ---- what the sessions hear

    def on_pong(self, at: float, number: int) -> None:
        if (sent := self._pings.pop(number, None)) is not None:
            self._window.pongs.append((at - sent) * 1000)

    def on_answer(self, channel: int, at: float, frame: dict[str, Any]) -> None:
        number = frame.get("id")
        if number is None or (sent := self._publishes.pop(number, None)) is None:
            return
        if frame["type"] == "error":
            self._window.refused.append(frame["code"])
            return
        self._window.confirmed.append((at - sent) * 1000)
        self._spoke.add(channel)
        if number not in self._heard and frame["offset"] > self._told[channel]:
            self._unheard[number] = channel, frame["offset"]

    def on_heard(self, number: int) -> None:
        self._window.heard += 1
        self._heard.add(number)
        self._unheard.pop(number, None)

    def on_resync(self, channel: int, offset: int) -> None:
        self._told[channel] = offset
        for number, (where, missing) in tuple(self._unheard.items()):
            if where == channel and missing <= offset:
                del self._unheard[number]

    def on_end(self, session: Session, end: End, code: int | None) -> None:
        if not self._is_leaving and session in self._sessions:
            self._window.lost.append(f"{end} {code or ''}".strip())
            self._tasks.start(self._come_back(self._sessions.index(session)))

    async def _come_back(self, place: int) -> None:
        """Try until it is admitted again."""
        while True:
            await asyncio.sleep(COMES_BACK_AFTER)
            session = Session(self, place)
            if await session.wait_welcomed(WELCOME_WITHIN):
                self._sessions[place] = session
                return

    # ---- windows

    def begin(self) -> None:
        self._forget()
        self._is_quiet = False

    async def has_spoken(self) -> bool:
        """Whether a message of each session was confirmed in this window."""
        self._tasks.check()
        return self._spoke == set(range(len(PATHS)))

    async def settle(self, within: float) -> Window:
        """Speak no more, and wait until all is answered and heard, for at most `within` seconds. Returns the window."""
        self._is_quiet = True
        await becomes_true(self._is_settled, within)
        window = self._window
        window.unanswered = len(self._pings)
        window.refused += ["no answer"] * len(self._publishes)
        window.unheard = [f"{PATHS[channel].partition('?')[0]} {offset}" for channel, offset in self._unheard.values()]
        return window

    async def _is_settled(self) -> bool:
        self._tasks.check()
        return not (self._pings or self._publishes or self._unheard)
