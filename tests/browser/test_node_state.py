"""The page follows what a node says of itself: how large a message may be, and whether it has Redis."""

import re

from playwright.async_api import expect

from tests.browser.scripted import ScriptedNode, open_on
from tests.browser.tabs import Tabs
from tests.support.cluster import Cluster

TOO_LONG = re.compile(r"^Too long to send, by (\d+) bytes?\.$")


async def test_a_text_that_is_too_long_stays_in_the_box_until_it_fits(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="limit")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="limit")
    box = ada.part("message-input")

    text = "\u00e9" + "x" * 70_000
    await box.fill(text)
    await expect(ada.part("hint")).to_have_text(TOO_LONG)
    await expect(ada.part("send")).to_be_disabled()
    await box.press("Enter")
    await expect(box).to_have_value(text)

    excess = TOO_LONG.match(await ada.part("hint").inner_text())
    assert excess
    await box.fill(text[: -int(excess[1])])
    await expect(ada.part("send")).to_be_enabled()
    await box.press("Enter")

    await expect(bob.part("message-text")).to_have_text(text[: -int(excess[1])])
    await ada.is_live()


async def test_the_limit_is_that_of_the_node(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(welcome={"message_max_bytes": 150})
    tab = await open_on(node, cluster, tabs)

    await tab.say("x" * 100)
    await expect(tab.part("hint")).to_have_text(TOO_LONG)
    await tab.say("short")

    await node.wait_for("message")
    assert [command["content"] for command in node.received("message")] == [{"text": "short"}]


async def test_a_banner_is_shown_while_the_node_is_without_redis(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    banner = tab.part("connection-banner")

    node.send(type="status", bus="down")
    await expect(banner).to_contain_text("can't reach Redis")
    await expect(banner.get_by_role("button")).to_be_hidden()
    await tab.is_live()

    node.send(type="status", bus="up")
    await expect(banner).to_be_hidden()


async def test_the_banner_of_a_node_without_redis_ends_with_its_connection(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    node.send(type="status", bus="down")
    await expect(tab.part("connection-banner")).to_be_visible()

    await node.end(4001, "node is draining", retry_after=0)

    await expect(tab.part("node-name")).to_have_text("scripted-2")
    await expect(tab.part("connection-banner")).to_be_hidden()
