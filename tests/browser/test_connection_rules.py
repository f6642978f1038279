"""How the page follows docs/protocol.md when a node ends, refuses or sends nothing; the test plays the node."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.scripted import ScriptedNode, open_on
from tests.browser.tabs import Tab, Tabs
from tests.support.cluster import Cluster


@pytest.mark.parametrize("code", [4500, 4501, 4503, 4504, 4505, 4506])
async def test_a_final_close_ends_the_session(cluster: Cluster, tabs: Tabs, code: int) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    await node.end(code, "not wanted")
    await expect(tab.part("connection-state")).to_have_text("Ended")
    await expect(tab.part("connect-again")).to_be_visible()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (4500, "A newer session took the place of this one"),
        (4504, "An operator ended this session"),
        (4506, "This session was opened again elsewhere"),
    ],
)
async def test_an_ended_session_shows_the_reason_and_does_not_reconnect(
    cluster: Cluster, tabs: Tabs, code: int, words: str
) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs, clock=True)
    await node.end(code, "not wanted")
    await expect(tab.page.get_by_role("alert").get_by_text(words)).to_be_visible()
    await tab.page.clock.run_for("02:00")
    await expect(tab.part("connection-state")).to_have_text("Ended")
    assert len(node.sockets) == 1
    await expect(tab.part("connect-again")).to_be_visible()


async def test_an_ended_session_comes_back_when_asked(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    await node.end(4504, "disconnected by an operator")
    await tab.part("connect-again").click()
    await expect(tab.part("node-name")).to_have_text("scripted-2")


@pytest.mark.parametrize("code", [1012, 1013, 4001, 4002, 4003, 4004])
async def test_a_passing_close_is_followed_by_a_reconnect(cluster: Cluster, tabs: Tabs, code: int) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    await node.end(code, "come back", retry_after=0)
    await expect(tab.part("node-name")).to_have_text("scripted-2")


async def test_retry_after_of_a_draining_node_delays_the_reconnect(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    await node.end(4001, "node is draining", retry_after=600)
    await expect(tab.part("connection-state")).to_have_text("Reconnecting")
    await expect(tab.part("connection-banner")).to_contain_text(re.compile(r"in (600|599)\ss"))


async def test_a_full_node_is_tried_again_after_the_time_it_named(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs, clock=True)
    await node.end(1013, "connection limit reached", retry_after=30)
    await expect(tab.part("connection-banner")).to_contain_text("The connection limit is reached")
    await tab.page.clock.run_for("00:27")
    assert len(node.sockets) == 1
    await tab.page.clock.run_for("00:05")
    await expect(tab.part("node-name")).to_have_text("scripted-2")


async def test_a_click_ends_the_wait_for_the_reconnect(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    await node.end(4001, "node is draining", retry_after=600)
    await tab.part("reconnect-now").click()
    await expect(tab.part("node-name")).to_have_text("scripted-2")


async def test_the_network_coming_back_ends_the_wait_for_the_reconnect(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    await tab.page.context.set_offline(True)
    await node.end(4001, "node is draining", retry_after=600)
    await expect(tab.part("connection-banner")).to_contain_text("You are offline")
    await tab.page.context.set_offline(False)
    await expect(tab.part("node-name")).to_have_text("scripted-2")


async def test_all_rooms_are_joined_again(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs, rooms="lobby,ops")
    await node.end(4001, "node is draining", retry_after=0)
    await expect(tab.part("node-name")).to_have_text("scripted-2")
    await tab.is_in_its_rooms()
    assert [command["room"] for command in node.received("join")] == ["lobby", "ops", "lobby", "ops"]


async def test_a_node_that_sends_no_ping_is_left(cluster: Cluster, tabs: Tabs) -> None:
    tab = Tab(await tabs.new_page(reusable=False))
    node = ScriptedNode(ping_interval=1)
    await tab.page.clock.install()
    await tab.page.route_web_socket(re.compile("/ws"), node.accept)
    await tab.page.goto(f"{cluster.nodes[0].url}/?user_id=ada&username=Ada")
    await tab.is_in_its_rooms()
    await tab.page.clock.run_for("00:14")
    await expect(tab.part("node-name")).to_have_text("scripted-2")


async def test_a_ping_is_answered(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    node.send(type="ping")
    await tab.say("after the ping")
    await expect(tab.part("message")).to_have_attribute("data-state", "sent")
    assert node.received("pong") == [{"type": "pong"}]


async def test_an_unconfirmed_message_is_sent_again_under_the_same_key(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(refusals=["unavailable"])
    tab = await open_on(node, cluster, tabs)
    await tab.say("once is enough")
    await expect(tab.part("message")).to_have_attribute("data-state", "sent")
    first, second = node.received("message")
    assert first["key"] == second["key"]


async def test_an_unconfirmed_message_of_a_lost_connection_is_sent_again(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    node.sockets[-1].on_message(lambda _: None)
    await tab.say("did you get this?")
    await node.end(4003, "no pong", retry_after=0)
    await expect(tab.part("message")).to_have_attribute("data-state", "sent")


async def test_a_message_that_is_not_confirmed_for_two_minutes_can_be_sent_again(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(ping_interval=3600, unanswered={"message"})
    tab = await open_on(node, cluster, tabs, clock=True)
    await tab.say("did you get this?")
    await node.wait_for("message")
    await tab.page.clock.run_for("02:01")
    await expect(tab.part("message-fate")).to_contain_text("the node did not answer")
    await expect(tab.part("send-again")).to_be_visible()


async def test_a_message_that_is_too_large_can_not_be_sent_again(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(refusals=["too_large"])
    tab = await open_on(node, cluster, tabs)
    await tab.say("far too long")
    await expect(tab.part("message-fate")).to_contain_text("too long")
    await expect(tab.part("send-again")).to_be_hidden()


async def test_unknown_frames_are_ignored(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    node.send(type="from_the_future", room="lobby")
    node.send(type="toString")
    node.send_message("still here", offset=1)
    await tab.shows_message("still here")


async def test_a_room_keeps_its_last_500_messages(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    for number in range(1, 521):
        node.send_message(f"message {number}", offset=number)
    await tab.shows_message("message 520")
    await expect(tab.part("message")).to_have_count(500)


async def test_a_reader_at_the_end_stays_at_the_end(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    for number in range(1, 601):
        node.send_message(f"message {number}", offset=number)
    await expect(tab.message("message 600")).to_be_in_viewport()


async def test_a_reader_of_older_messages_is_not_moved(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, cluster, tabs)
    for number in range(1, 501):
        node.send_message(f"message {number}", offset=number)
    await expect(tab.message("message 500")).to_be_in_viewport()
    await tab.message("message 300").scroll_into_view_if_needed()
    await expect(tab.part("latest")).to_be_visible()
    for number in range(501, 601):
        node.send_message(f"message {number}", offset=number)
    await tab.shows_message("message 600")
    await expect(tab.message("message 300")).to_be_in_viewport()
    await tab.part("latest").click()
    await expect(tab.message("message 600")).to_be_in_viewport()


async def test_typing_is_sent_at_most_once_in_two_seconds(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = Tab(await tabs.new_page(reusable=False))
    await tab.page.clock.install(time="2030-01-01T12:00:00Z")
    await tab.page.route_web_socket(re.compile("/ws"), node.accept)
    await tab.page.goto(f"{cluster.nodes[0].url}/?user_id=ada&username=Ada")
    await tab.is_in_its_rooms()
    await tab.page.clock.pause_at("2030-01-01T12:00:20Z")
    await tab.type("many keys")
    await tab.page.clock.fast_forward(2000)
    await tab.type(" and more")
    await tab.part("message-input").press("Enter")
    await expect(tab.part("message")).to_have_attribute("data-state", "sent")
    assert len(node.received("typing")) == 2
