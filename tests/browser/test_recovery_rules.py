"""How the page follows docs/protocol.md after a loss: each message once, in order, or a note of what may be missing.

The test plays the node.
"""

import re
from dataclasses import dataclass

import pytest
from playwright.async_api import Locator, expect

from tests.browser.scripted import Frame, ScriptedNode, open_on
from tests.browser.tabs import Tab, Tabs
from tests.support.cluster import Cluster

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
    await reconnect(node, tab, log, recovered=True)
    assert node.received("join")[-1]["recover"] == {"epoch": "old", "offset": 1}
    send_messages(node, log, 2, 3, 4)
    await shows(tab, "old 1", "3 messages while you were away", *log.texts(2, 4))


async def test_a_history_that_stays_unavailable_is_given_up(cluster: Cluster, tabs: Tabs) -> None:
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
    await shows(tab, "old 1", MAY_BE_MISSING, "old 4")


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
    node.unanswered.clear()
    node.oks["join"] = {"epoch": "old", "offset": 5, "recovered": True}
    await tab.page.clock.run_for(5000)
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


# ---- earlier messages


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


# ---- own messages


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
    await expect(send_again(tab)).to_be_visible()
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
    await send_again(tab).click()
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
    node.refusals = ["unavailable"]
    tab = await open_on(node, cluster, tabs)
    await tab.say("at last")
    await expect(send_again(tab)).to_be_visible()
    send_messages(node, log, 2)
    await shows(tab, "old 1", "at last", "old 2")
    node.unanswered.add("message")
    await send_again(tab).click()
    send_messages(node, log, 3)
    await shows(tab, "old 1", "old 2", "old 3", "at last")


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
