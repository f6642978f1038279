"""How the page follows docs/protocol.md after a loss: each message once, in order, or a note of what may be missing.

The test plays the node.
"""

import re

import pytest
from playwright.async_api import expect

from tests.browser.lobby_log import (
    LONG_ENOUGH_TO_ASK_AGAIN,
    MAY_BE_MISSING,
    Log,
    node_with,
    reconnect,
    send_messages,
    shows,
)
from tests.browser.scripted import ScriptedNode, open_on
from tests.browser.tabs import Tab, Tabs
from tests.support.cluster import Cluster

# ---- reconnecting


async def test_a_reconnect_recovers_from_the_last_message_shown(cluster: Cluster, tabs: Tabs) -> None:
    node = node_with(Log("old", 1, 2))
    tab = await open_on(node, cluster, tabs)
    send_messages(node, Log("old", 1, 3), 3)
    await tab.shows_message("old 3")
    await reconnect(node, tab, Log("old", 1, 3), recovered=True)
    assert [command.get("recover") for command in node.received("join")] == [None, {"epoch": "old", "offset": 3}]


async def test_missed_messages_are_shown_once_and_counted(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 2)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await shows(tab, *log.texts(1, 2))
    await reconnect(node, tab, Log("old", 1, 4), recovered=True)
    send_messages(node, log, 3, 4, 2, 4, 5, 3)
    await shows(tab, *log.texts(1, 2), "2 messages while you were away", *log.texts(3, 5))
    await reconnect(node, tab, Log("old", 1, 5), recovered=True)
    assert node.received("join")[-1]["recover"] == {"epoch": "old", "offset": 5}


async def test_a_reconnect_without_missed_messages_shows_no_note(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 2)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await reconnect(node, tab, log, recovered=True)
    send_messages(node, log, 3)
    await shows(tab, *log.texts(1, 3))


async def test_messages_that_could_not_be_recovered_are_read_from_the_history(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 1")
    log.head = 350
    await reconnect(node, tab, log, recovered=False)
    await shows(tab, "old 1", "349 messages while you were away", *log.texts(2, 350))
    assert [command.get("since") for command in node.received("history")] == [None, 1, 301]


async def test_messages_during_a_read_of_the_history_come_behind_it(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 1")
    node.unanswered.add("history")
    log.head = 3
    await reconnect(node, tab, log, recovered=False)
    await node.wait_for("history", times=2)
    send_messages(node, log, 4)
    log.head = 4
    node.answer(node.received("history")[-1])
    send_messages(node, log, 5)
    await shows(tab, "old 1", "2 messages while you were away", *log.texts(2, 5))


async def test_messages_that_are_no_longer_kept_are_replaced_by_a_note(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 2)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await shows(tab, *log.texts(1, 2))
    await reconnect(node, tab, Log("old", 7, 9), recovered=False)
    await shows(tab, *log.texts(1, 2), MAY_BE_MISSING, *log.texts(7, 9))


async def test_a_connection_lost_during_a_read_of_the_history_loses_no_message(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 1")
    node.unanswered.add("history")
    log.head = 3
    await reconnect(node, tab, log, recovered=False)
    await node.wait_for("history", times=2)
    send_messages(node, log, 4)
    log.head = 4
    node.unanswered.clear()
    await reconnect(node, tab, log, recovered=True)
    assert node.received("join")[-1]["recover"] == {"epoch": "old", "offset": 4}
    await shows(tab, "old 1", "3 messages while you were away", *log.texts(2, 4))


async def test_a_history_that_is_unavailable_is_asked_for_again(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs, clock=True)
    await tab.shows_message("old 1")
    node.unanswered.add("history")
    log.head = 3
    node.send(type="resync", room="lobby", epoch="old", offset=3, reason="too slow")
    send_messages(node, log, 4)
    for times in range(2, 7):
        await node.wait_for("history", times=times)
        node.refuse(node.received("history")[-1], "unavailable")
        await tab.page.clock.run_for(LONG_ENOUGH_TO_ASK_AGAIN)
    await node.wait_for("history", times=7)
    node.answer(node.received("history")[-1])
    await shows(tab, *log.texts(1, 4))


async def test_without_history_a_reconnect_notes_that_messages_may_be_missing(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    node.send_message("before", offset=1)
    await tab.shows_message("before")
    await node.end(4003, "no pong", retry_after=0)
    await expect(tab.part("node-name")).to_have_text("scripted-2")
    await tab.is_in_its_rooms()
    node.send_message("after", offset=2)
    await shows(tab, "before", MAY_BE_MISSING, "after")
    assert node.received("history") == []


async def test_a_join_whose_answer_came_too_late_is_left_and_repeated(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs, clock=True)
    await tab.shows_message("old 1")
    node.unanswered.add("join")
    await node.end(4003, "no pong", retry_after=0)
    await tab.page.clock.run_for(1000)
    await node.wait_for("join", times=2)
    send_messages(node, log, 5)
    node.refuse(node.received("join")[-1], "already_joined")
    await node.wait_for("leave")
    await node.wait_for("join", times=3)
    node.oks["join"] = {"epoch": "old", "offset": 5, "recovered": True}
    node.answer(node.received("join")[-1])
    await tab.is_in_its_rooms()
    assert node.received("join")[-1]["recover"] == {"epoch": "old", "offset": 1}
    send_messages(node, log, 2, 3, 4, 5)
    await shows(tab, "old 1", "4 messages while you were away", *log.texts(2, 5))


# ---- resync


async def test_messages_dropped_for_a_slow_tab_are_read_from_the_history(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 1")
    log.head = 4
    node.send(type="resync", room="lobby", epoch="old", offset=4, reason="too slow to read: messages were dropped")
    send_messages(node, log, 5)
    await shows(tab, *log.texts(1, 5))


async def test_a_resync_up_to_what_is_shown_already_changes_nothing(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 2)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    node.send(type="resync", room="lobby", epoch="old", offset=2, reason="too slow")
    send_messages(node, log, 3)
    await shows(tab, *log.texts(1, 3))


async def test_another_epoch_that_counts_from_the_start_is_shown_from_its_start(cluster: Cluster, tabs: Tabs) -> None:
    node = node_with(Log("old", 1, 5))
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 5")
    new = Log("new", 1, 3)
    node.oks["history"] = new.page
    node.send(type="resync", room="lobby", epoch="new", offset=2, reason="begun anew")
    send_messages(node, new, 3)
    await shows(tab, *Log("old", 1, 5).texts(1, 5), MAY_BE_MISSING, *new.texts(1, 3))
    await reconnect(node, tab, new, recovered=True)
    assert node.received("join")[-1]["recover"] == {"epoch": "new", "offset": 3}


async def test_another_epoch_that_goes_on_with_the_log_repeats_nothing(cluster: Cluster, tabs: Tabs) -> None:
    """The promoted replica had all up to 3, and has given 4 and 5 out again."""
    old = Log("old", 1, 5)
    node = node_with(old)
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 5")
    await reconnect(node, tab, Log("new", 1, 6, began=4), recovered=False)
    await shows(tab, *old.texts(1, 5), MAY_BE_MISSING, "new 4", "new 5", "new 6")


async def test_another_epoch_does_not_repeat_messages_shown_further_up(cluster: Cluster, tabs: Tabs) -> None:
    old = Log("old", 1, 80)
    node = node_with(old)
    tab = await open_on(node, cluster, tabs)
    await shows(tab, *old.texts(31, 80))
    await reconnect(node, tab, Log("new", 1, 81, began=81), recovered=False)
    await shows(tab, *old.texts(31, 80), MAY_BE_MISSING, "new 81")
    await tab.part("load-older").click()
    await shows(tab, *old.texts(1, 80), MAY_BE_MISSING, "new 81")


async def test_a_history_that_its_node_cannot_read_is_shown_as_one_gap(cluster: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 1)
    node = node_with(log)
    tab = await open_on(node, cluster, tabs)
    await tab.shows_message("old 1")
    for _ in range(2):
        node.send(type="resync", room="lobby", epoch=None, offset=None, reason="too slow")
    node.send_message("and then", offset=2)
    await shows(tab, "old 1", MAY_BE_MISSING, "and then")


# ---- agents


@pytest.mark.parametrize("recovered", [True, False])
async def test_an_agents_tab_recovers_on_connect(cluster: Cluster, tabs: Tabs, recovered: bool) -> None:
    log = Log("old", 1, 2)
    node = ScriptedNode(welcome={"agent_id": "42", "epoch": "old", "offset": 2}, oks={"history": log.page})
    tab = Tab(await tabs.new_page())
    await tab.page.route_web_socket(re.compile("/ws"), node.accept)
    await tab.page.goto(f"{cluster.nodes[0].url}/?user_id=ada&username=Ada#agent=42")
    await shows(tab, *log.texts(1, 2))
    log.head = 4
    node.welcome |= {"offset": 4, "recovered": recovered}
    await node.end(4003, "no pong", retry_after=0)
    await expect(tab.part("node-name")).to_have_text("scripted-2")
    if recovered:
        send_messages(node, log, 3, 4)
    await shows(tab, *log.texts(1, 2), "2 messages while you were away", *log.texts(3, 4))
    assert "epoch=old&offset=2" in node.sockets[-1].url
