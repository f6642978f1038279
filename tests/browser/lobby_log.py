"""What a scripted node keeps of the lobby, and what the page shows of it."""

import re
from dataclasses import dataclass

from playwright.async_api import expect

from tests.browser.scripted import Frame, ScriptedNode
from tests.browser.tabs import Tab

PAGE = 50
MAY_BE_MISSING = "Some messages may be missing here."
LONG_ENOUGH_TO_ASK_AGAIN = "00:05"


@dataclass
class Log:
    """What the lobby keeps: `first` to `head`, each a message of Bob with the text "<epoch> <offset>"."""

    epoch: str
    first: int
    head: int
    began: int = 1
    """The offset of the first message of the epoch; those before are of the one before, called "old"."""

    def message(self, offset: int) -> Frame:
        epoch = self.epoch if offset >= self.began else "old"
        return {
            "type": "message",
            "room": "lobby",
            "user_id": "bob",
            "username": "Bob",
            "session_id": "session-of-bob",
            "content": {"text": f"{epoch} {offset}"},
            "timestamp": f"2026-01-0{1 if epoch == 'old' else 2}T12:{offset // 60:02}:{offset % 60:02}.000Z",
            "offset": offset,
        }

    def page(self, command: Frame) -> Frame:
        kept = range(max(self.first, command.get("since", 0) + 1), min(self.head + 1, command.get("before", 10**6)))
        limit = command["limit"]
        asked = kept[:limit] if "since" in command else kept[-limit:]
        return {"messages": [self.message(offset) for offset in asked], "epoch": self.epoch, "offset": self.head}

    def texts(self, first: int, last: int) -> list[str]:
        return [self.message(offset)["content"]["text"] for offset in range(first, last + 1)]


def node_with(log: Log) -> ScriptedNode:
    return ScriptedNode(oks={"join": {"epoch": log.epoch, "offset": log.head}, "history": log.page})


def send_messages(node: ScriptedNode, log: Log, *offsets: int) -> None:
    for offset in offsets:
        node.send(**log.message(offset))


async def reconnect(node: ScriptedNode, tab: Tab, log: Log, *, recovered: bool) -> None:
    """Close the connection; the page reconnects, and the node answers `join` with the head of `log`."""
    node.oks = {"join": {"epoch": log.epoch, "offset": log.head, "recovered": recovered}, "history": log.page}
    name = f"scripted-{len(node.sockets) + 1}"
    await node.end(4003, "no pong", retry_after=0)
    await expect(tab.part("node-name")).to_have_text(name)
    await tab.is_in_its_rooms()


async def shows(tab: Tab, *lines: str) -> None:
    """Messages and remarks between them, from the top, and nothing else."""
    await expect(
        tab.page.get_by_test_id(re.compile("^(message-text|gap|note)$")).and_(tab.page.locator(":visible"))
    ).to_have_text(list(lines))
