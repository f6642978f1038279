"""A node whose side the test speaks, behind a page that a real node has served."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import WebSocketRoute

from tests.browser.tabs import Tab, Tabs
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

HEARD_SECONDS = 5

Frame = dict[str, Any]


@dataclass
class ScriptedNode:
    """Says yes to every command, but to the messages for which `refusals` holds an error code."""

    ping_interval: float = 25
    welcome: Frame = field(default_factory=dict[str, Any])
    """What `welcome` carries besides."""
    refusals: list[str] = field(default_factory=list[str])
    oks: dict[str, Frame | Callable[[Frame], Frame]] = field(
        default_factory=dict[str, "Frame | Callable[[Frame], Frame]"]
    )
    """What `ok` carries, by the command's type; if it is called, it gets the command."""
    unanswered: set[str] = field(default_factory=set[str])
    """Types of commands that get no answer by themselves."""
    commands: list[Frame] = field(default_factory=list[Frame])
    sockets: list[WebSocketRoute] = field(default_factory=list[WebSocketRoute])

    def accept(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(self.hear)
        number = len(self.sockets)
        self.say(
            type="welcome",
            session_id=f"session-{number}",
            user_id="ada",
            username="Ada",
            node=f"scripted-{number}",
            ping_interval=self.ping_interval,
            **self.welcome,
        )

    def hear(self, data: str | bytes) -> None:
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
        self.say(type="ok", id=command["id"], **(fields(command) if callable(fields) else fields))

    def refuse(self, command: Frame, code: str) -> None:
        self.say(type="error", id=command["id"], code=code, message="refused")

    def say(self, **frame: object) -> None:
        self.sockets[-1].send(json.dumps(frame))

    def said(self, text: str, *, offset: int) -> None:
        self.say(
            type="message",
            room="lobby",
            user_id="bob",
            username="Bob",
            session_id="session-of-bob",
            content={"text": text},
            timestamp=f"2026-01-01T12:00:00.{offset:03}Z",
        )

    def heard(self, kind: str) -> list[Frame]:
        return [command for command in self.commands if command["type"] == kind]

    async def has_heard(self, kind: str, *, times: int = 1) -> None:
        async def heard() -> bool:
            return len(self.heard(kind)) >= times

        await eventually(heard, within=HEARD_SECONDS, what=f"the page says {kind}")

    async def end(self, code: int, reason: str, **more: object) -> None:
        self.say(type="bye", code=code, reason=reason, reconnect=code < 4500, **more)
        await self.sockets[-1].close(code=code, reason=reason)


async def open_on(
    node: ScriptedNode, cluster: Cluster, tabs: Tabs, *, rooms: str = "lobby", clock: bool = False
) -> Tab:
    """A tab that is in its rooms on `node`. With `clock`, time is the test's to move."""
    tab = Tab(await tabs.new_page())
    if clock:
        await tab.page.clock.install()
    await tab.page.route_web_socket(re.compile("/ws"), node.accept)
    await tab.page.goto(f"{cluster.nodes[0].url}/?user_id=ada&username=Ada#rooms={rooms}")
    await tab.is_in_its_rooms()
    return tab
