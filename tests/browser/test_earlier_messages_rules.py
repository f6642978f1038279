"""How the page reads earlier messages from the history: page by page, above what it shows. The test plays the node."""

from playwright.async_api import expect

from tests.browser.lobby_log import (
    PAGE,
    Log,
    node_with,
    reconnect,
    send_messages,
    shows,
)
from tests.browser.scripted import open_on
from tests.browser.tabs import Tabs
from tests.support.cluster import Cluster


async def test_the_last_messages_are_shown_above_new_ones(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 3)
    node = node_with(log)
    node.unanswered.add("history")
    tab = await open_on(node, cluster, tabs)
    await node.wait_for("history")
    send_messages(node, log, 4)
    await tab.shows_message("old 4")
    node.answer(node.received("history")[0])
    await shows(tab, *log.texts(1, 4))
    await expect(tab.part("no-older")).to_be_visible()
    assert node.received("history")[0] == {"type": "history", "room": "lobby", "before": 4, "limit": PAGE, "id": 2}


async def test_older_messages_are_loaded_until_there_are_none(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 11, 120)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await shows(tab, *log.texts(71, 120))
    await tab.part("load-older").click()
    await shows(tab, *log.texts(21, 120))
    await expect(tab.message("old 71")).to_be_in_viewport()
    await tab.part("load-older").click()
    await shows(tab, *log.texts(11, 120))
    await expect(tab.part("load-older")).to_be_hidden()
    await expect(tab.part("no-older")).to_be_attached()


async def test_a_page_of_another_log_is_not_shown(cluster: Cluster, tabs: Tabs) -> None:
    old = Log("old", 1, 120)
    node = node_with(old)
    tab = await open_on(node, cluster, tabs)
    await shows(tab, *old.texts(71, 120))
    node.oks["history"] = Log("new", 1, 200).page
    await tab.part("load-older").click()
    await expect(tab.part("no-older")).to_be_attached()
    await shows(tab, *old.texts(71, 120))


async def test_older_messages_that_cannot_be_loaded_can_be_asked_for_again(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 60)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await shows(tab, *log.texts(11, 60))
    node.unanswered.add("history")
    await tab.part("load-older").click()
    await node.wait_for("history", times=2)
    node.refuse(node.received("history")[-1], "internal")
    await expect(tab.part("load-older")).to_contain_text("Try again")
    node.unanswered.clear()
    await tab.part("load-older").click()
    await shows(tab, *log.texts(1, 60))


async def test_a_first_page_lost_with_its_connection_is_read_after_the_reconnect(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 3)
    node = node_with(log)
    node.unanswered.add("history")
    tab = await open_on(node, cluster, tabs)
    await node.wait_for("history")
    node.unanswered.clear()
    await reconnect(node, tab, log, recovered=True)
    await shows(tab, *log.texts(1, 3))


async def test_messages_removed_for_500_newer_ones_can_be_loaded_again(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 10)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await shows(tab, *log.texts(1, 10))
    log.head = 510
    send_messages(node, log, *range(11, 511))
    await expect(tab.part("message")).to_have_count(500)
    await expect(tab.part("message-text").first).to_have_text("old 11")
    await tab.part("load-older").click()
    await expect(tab.part("message-text").first).to_have_text("old 1")
    await expect(tab.part("message")).to_have_count(510)


async def test_earlier_messages_are_not_counted_as_unread(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 3)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs, rooms="ops,lobby")
    send_messages(node, log, 4)
    await expect(tab.room("lobby").get_by_test_id("unread")).to_have_text("1")
