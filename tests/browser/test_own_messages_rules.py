"""How the page treats a message of its own that was not confirmed: shown once, where it was published.

The test plays the node.
"""

from playwright.async_api import Locator, expect

from tests.browser.lobby_log import (
    Log,
    node_with,
    reconnect,
    send_messages,
    shows,
)
from tests.browser.scripted import Frame, open_on
from tests.browser.tabs import Tab, Tabs
from tests.support.cluster import Cluster


def send_again(tab: Tab) -> Locator:
    return tab.part("send-again").and_(tab.page.locator(":visible"))


def own(log: Log, offset: int, text: str, *, session: str) -> Frame:
    whose = {"user_id": "ada", "username": "Ada", "session_id": session, "content": {"text": text}}
    return log.message(offset) | whose


async def test_an_own_message_of_a_lost_connection_moves_to_its_position(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 1")
    node.unanswered.add("message")
    await tab.say("did you get this?")
    await node.wait_for("message")
    log.head = 3
    await reconnect(node, tab, log, recovered=True)
    send_messages(node, log, 2)
    node.send(**own(log, 3, "did you get this?", session="session-1"))
    await shows(tab, "old 1", "1 message while you were away", "old 2", "did you get this?")
    await expect(send_again(tab)).to_have_count(0)


async def test_a_message_sent_again_is_shown_once_where_the_first_try_was_published(
    cluster: Cluster, tabs: Tabs
) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 1")
    node.unanswered.add("message")
    await tab.say("only once")
    await node.wait_for("message")
    log.head = 2
    await reconnect(node, tab, log, recovered=True)
    await node.wait_for("message", times=2)
    node.send(**own(log, 2, "only once", session="session-1"))
    send_messages(node, log, 3)
    await shows(tab, "old 1", "only once", "old 3")
    node.send(type="ok", id=node.received("message")[-1]["id"], epoch="old", offset=2)
    send_messages(node, log, 4)
    await shows(tab, "old 1", "only once", "old 3", "old 4")
    first, second = node.received("message")
    assert first["key"] == second["key"]


async def test_a_confirmed_message_that_is_here_under_another_session_is_shown_once(
    cluster: Cluster, tabs: Tabs
) -> None:
    """The text does not distinguish another tab's echo from ours: the position does."""
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 1")
    node.unanswered.add("message")
    await tab.say("only once")
    await node.wait_for("message")
    node.send(**own(log, 2, "only once", session="session-0"))
    await expect(tab.part("message")).to_have_count(3)
    node.send(type="ok", id=node.received("message")[-1]["id"], epoch="old", offset=2)
    await shows(tab, "old 1", "only once")


async def test_a_message_sent_again_moves_to_the_end(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    node.refusals = ["internal"]
    tab = await open_on(node, cluster, tabs)
    await tab.say("at last")
    await expect(send_again(tab)).to_be_visible()
    send_messages(node, log, 2)
    await shows(tab, "old 1", "at last", "old 2")
    node.unanswered.add("message")
    await send_again(tab).click()
    send_messages(node, log, 3)
    await shows(tab, "old 1", "old 2", "old 3", "at last")
