"""A node that the test plays, behind a page that a real node has served."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import WebSocketRoute

from tests.browser.tabs import Tab, Tabs
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

Frame = dict[str, Any]


@dataclass
class ScriptedNode:
    """Answers every command with `ok`, but refuses messages while `refusals` holds error codes."""

    ping_interval: float = 25
    welcome: Frame = field(default_factory=dict[str, Any])
    """Further fields of `welcome`."""
    refusals: list[str] = field(default_factory=list[str])
    oks: dict[str, Frame | Callable[[Frame], Frame]] = field(
        default_factory=dict[str, "Frame | Callable[[Frame], Frame]"]
    )
    """Fields of `ok` by the type of the command, or a function of the command that returns them."""
    unanswered: set[str] = field(default_factory=set[str])
    """Types of commands that are not answered at once."""
    commands: list[Frame] = field(default_factory=list[Frame])
    sockets: list[WebSocketRoute] = field(default_factory=list[WebSocketRoute])

    def accept(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(self.handle_message)
        number = len(self.sockets)
        self.send(
            type="welcome",
            session_id=f"session-{number}",
            user_id="ada",
            username="Ada",
            node=f"scripted-{number}",
            ping_interval=self.ping_interval,
            **self.welcome,
        )

    def handle_message(self, data: str | bytes) -> None:
        command: Frame = json.loads(data)
        self.commands.append(command)
        if "id" not in command or command["type"] in self.unanswered:
            return
        if command["type"] == "message" and self.refusals:
            self.refuse(command, self.refusals.pop(0))
        else:
            self.answer(command)

    def answer(self, command: Frame) -> None:
        fields = self.oks.get(command["type"], {})
        self.send(type="ok", id=command["id"], **(fields(command) if callable(fields) else fields))

    def refuse(self, command: Frame, code: str) -> None:
        self.send(type="error", id=command["id"], code=code, message="refused")

    def send(self, **frame: object) -> None:
        self.sockets[-1].send(json.dumps(frame))

    def send_message(self, text: str, *, offset: int) -> None:
        self.send(
            type="message",
            room="lobby",
            user_id="bob",
            username="Bob",
            session_id="session-of-bob",
            content={"text": text},
            timestamp=f"2026-01-01T12:00:00.{offset:03}Z",
        )

    def received(self, kind: str) -> list[Frame]:
        return [command for command in self.commands if command["type"] == kind]

    async def wait_for(self, kind: str, *, times: int = 1) -> None:
        async def received() -> bool:
            return len(self.received(kind)) >= times

        await eventually(received, what=f"the page sends {kind}")

    async def end(self, code: int, reason: str, **more: object) -> None:
        self.send(type="bye", code=code, reason=reason, reconnect=code < 4500, **more)
        await self.sockets[-1].close(code=code, reason=reason)


async def open_on(
    node: ScriptedNode, cluster: Cluster, tabs: Tabs, *, rooms: str = "lobby", clock: bool = False
) -> Tab:
    """A tab that is in its rooms on `node`. With `clock` the test moves the time of the page."""
    tab = Tab(await tabs.new_page(reusable=not clock))
    if clock:
        await tab.page.clock.install()
    await tab.page.route_web_socket(re.compile("/ws"), node.accept)
    await tab.page.goto(f"{cluster.nodes[0].url}/?user_id=ada&username=Ada#rooms={rooms}")
    await tab.is_in_its_rooms()
    return tab
