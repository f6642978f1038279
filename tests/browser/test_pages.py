"""The page reads a history whose pages are bounded in bytes: each message once and in order, and none left out."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.scripted import ScriptedNode, open_on
from tests.browser.tabs import Tabs
from tests.support.cluster import Cluster
from tests.support.room_messages import publish_batch

TEXTS = [f"{number} {'x' * 2000}" for number in range(1, 21)]
FITTING = 3
"""Messages that the scripted node puts into one answer."""


@pytest.fixture(scope="module")
async def small(anyio_backend: str) -> AsyncIterator[Cluster]:
    """Its answers hold three messages of 2 kB."""
    async with Cluster(nodes=1, OUTBOX_MAX_BYTES="8192") as running:
        yield running


async def test_older_messages_are_loaded_up_to_the_first(small: Cluster, tabs: Tabs) -> None:
    await publish_batch(small.nodes[0], "lobby", *({"text": text} for text in TEXTS))
    tab = await tabs.open(small.nodes[0].url, "Ada", rooms="lobby")
    await expect(tab.part("message-text").first).to_be_visible()

    while await tab.part("no-older").is_hidden():
        shown = await tab.part("message-text").count()
        await tab.part("load-older").click()
        await expect(tab.part("message-text")).not_to_have_count(shown)
        await expect(tab.part("load-older").or_(tab.part("no-older")).locator("visible=true")).to_have_count(1)

    await expect(tab.part("message-text")).to_have_text(TEXTS)


def message(offset: int) -> dict[str, Any]:
    return {
        "type": "message",
        "room": "lobby",
        "user_id": "bob",
        "username": "Bob",
        "session_id": "session-of-bob",
        "content": {"text": f"new {offset}"},
        "timestamp": f"2026-01-02T12:00:{offset:02}.000Z",
        "offset": offset,
    }


def page_of_ten(command: dict[str, Any]) -> dict[str, Any]:
    """The last messages of ten, as many as were asked for and fit."""
    kept = range(1, min(11, command.get("before", 11)))
    count = min(command["limit"], FITTING)
    more = {"more": True} if len(kept) > count else {}
    return {"messages": [message(offset) for offset in kept[-count:]], "epoch": "new", "offset": 10, **more}


async def test_a_new_epoch_is_read_whole(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": {"epoch": "old", "offset": 0}, "history": page_of_ten})
    tab = await open_on(node, cluster, tabs)

    node.send(type="resync", room="lobby", epoch="new", offset=10, reason="a new epoch has begun")

    await expect(tab.part("message-text")).to_have_text([f"new {offset}" for offset in range(1, 11)])
    await expect(tab.part("gap")).to_have_count(1)
