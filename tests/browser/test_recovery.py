"""What people see after nodes and Redis have failed: real Chromium, real nodes, no message twice or silently gone."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Locator, expect

from tests.browser.tabs import Tab, Tabs
from tests.support.cluster import Cluster, NodeProcess
from tests.support.node import PRODUCT
from tests.support.waiting import eventually

PAGE = 50
KEPT = 100


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Two nodes and a Valkey that a test may kill."""
    async with Cluster(nodes=2, times=PRODUCT) as running:
        yield running


async def publish(node: NodeProcess, channel: str, *texts: str) -> None:
    """As a back end does: `channel` is `rooms/lobby` or `agents/42`."""
    for text in texts:
        (await node.http.post(f"/api/v1/{channel}/messages", json={"content": text})).raise_for_status()


def numbers(first: int, last: int) -> list[str]:
    return [f"number {number}" for number in range(first, last + 1)]


def messages(tab: Tab) -> Locator:
    """The texts of all messages that the tab shows, from the top."""
    return tab.part("message-text")


@pytest.mark.parametrize("channel", ["rooms/killed", "agents/killed"])
async def test_a_tab_whose_node_was_killed_shows_each_message_once(cluster: Cluster, tabs: Tabs, channel: str) -> None:
    first, second = cluster.nodes
    room, agent = ("killed", None) if channel == "rooms/killed" else (None, "killed")
    ada = await tabs.open(first.url, "Ada", rooms=room, agent=agent)
    bob = await tabs.open(second.url, "Bob", rooms=room, agent=agent)
    await publish(second, channel, "before")
    await ada.shows_message("before")

    saying = asyncio.create_task(publish(second, channel, *numbers(1, 30)))
    await first.kill()
    await saying
    await first.start()

    await ada.is_in_its_rooms()
    await publish(second, channel, "after")
    for tab in (ada, bob):
        await expect(messages(tab)).to_have_text(["before", *numbers(1, 30), "after"])
        await expect(tab.part("gap")).to_have_count(0)
    await expect(ada.part("note")).to_contain_text("while you were away")
    await expect(bob.part("note")).to_have_count(0)


async def test_a_reload_shows_the_earlier_messages(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="reloaded")
    await ada.say("my own")
    await publish(cluster.nodes[1], "rooms/reloaded", "of another")
    await expect(messages(ada)).to_have_text(["my own", "of another"])
    await ada.page.reload()
    await expect(messages(ada)).to_have_text(["my own", "of another"])
    await expect(ada.part("message").first).to_have_attribute("data-own", "true")
    await expect(ada.part("no-older")).to_be_visible()


async def test_a_tab_notes_that_messages_may_be_missing_after_redis_lost_its_data(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="lost")
    await publish(cluster.nodes[1], "rooms/lost", "before")
    await ada.shows_message("before")

    cluster.valkey.kill()
    await cluster.valkey.start()
    await _takes_messages(cluster.nodes[1])
    await publish(cluster.nodes[1], "rooms/lost", "after", "and on")

    await expect(ada.part("gap")).to_have_text("Some messages may be missing here.")
    await expect(messages(ada)).to_have_text(["before", "after", "and on"])
    await ada.say("I go on")
    await expect(messages(ada)).to_have_text(["before", "after", "and on", "I go on"])
    await expect(ada.part("gap")).to_have_count(1)


async def _takes_messages(node: NodeProcess) -> None:
    async def takes() -> bool:
        try:
            return (await node.http.post("/api/v1/rooms/elsewhere/messages", json={"content": "?"})).is_success
        except httpx.TransportError:
            return False

    await eventually(takes, what=f"{node.name} publishes again")


async def test_older_messages_are_loaded_back_to_the_first_that_is_kept(cluster: Cluster, tabs: Tabs) -> None:
    last = KEPT + 20
    await publish(cluster.nodes[1], "rooms/long", *numbers(1, last))
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="long")
    await expect(messages(ada)).to_have_text(numbers(last - PAGE + 1, last))
    await expect(ada.message(f"number {last}")).to_be_in_viewport()

    await ada.part("load-older").click()
    await expect(messages(ada)).to_have_text(numbers(last - KEPT + 1, last))
    await expect(ada.message(f"number {last - PAGE + 1}")).to_be_in_viewport()

    await ada.part("load-older").click()
    await expect(ada.part("load-older")).to_be_hidden()
    await expect(messages(ada)).to_have_text(numbers(last - KEPT + 1, last))


async def test_a_message_that_redis_did_not_confirm_is_sent_again_and_shown_once(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="in-doubt")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="in-doubt")
    cluster.valkey.freeze()
    await ada.say("is this on?")
    await expect(ada.part("connection-banner")).to_contain_text("can't reach Redis")  # so a first try has failed
    await expect(ada.part("message")).to_have_attribute("data-state", "sending")
    cluster.valkey.thaw()  # which now publishes what is still on its way, and once at most
    await expect(ada.part("message")).to_have_attribute("data-state", "sent")
    await publish(cluster.nodes[1], "rooms/in-doubt", "yes")
    for tab in (ada, bob):
        await expect(messages(tab)).to_have_text(["is this on?", "yes"])
