"""How the page follows docs/protocol.md §2 and §5 with a token; the test plays the node."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from tests.browser.lobby_log import Log, node_with, send_messages, shows
from tests.browser.scripted import ScriptedNode
from tests.browser.tabs import Tab, Tabs
from tests.browser.tokens import cluster_with_tokens, is_asked_again, log_in, refresh, stored
from tests.support.cluster import Cluster

FIRST, SECOND = "first.to.ken", "second.to.ken"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
NO_PING = 3600
"""Seconds between pings: the clock of the page is moved by minutes."""


@pytest.fixture(scope="module")
async def serving(anyio_backend: str) -> AsyncIterator[Cluster]:
    """Serves the page, which asks for a token."""
    async with cluster_with_tokens(1) as running:
        yield running


def in_minutes(minutes: float) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def open_on(node: ScriptedNode, serving: Cluster, tabs: Tabs, *, rooms: str = "lobby") -> Tab:
    """A tab that is in its rooms on `node`, with the token FIRST. The test moves the time of the page."""
    tab = Tab(await tabs.new_page(reusable=False))
    await tab.page.clock.install(time=NOW)
    await tab.page.route_web_socket(re.compile("/ws"), node.accept)
    await tab.page.goto(f"{serving.nodes[0].url}/#rooms={rooms}&token={FIRST}")
    await tab.is_in_its_rooms()
    return tab


# ---- expiry and refresh


async def test_a_newer_token_is_asked_for_in_the_last_minute(serving: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(ping_interval=NO_PING, welcome={"expires_at": in_minutes(10)})
    tab = await open_on(node, serving, tabs)
    await tab.page.clock.run_for("08:50")
    await expect(tab.part("refresh")).to_be_hidden()
    await tab.page.clock.run_for("00:20")
    await expect(tab.part("refresh")).to_be_visible()

    node.oks["refresh"] = {"expires_at": in_minutes(20)}
    await refresh(tab, SECOND)
    await expect(tab.part("refresh")).to_be_hidden()
    assert [command["token"] for command in node.received("refresh")] == [SECOND]

    await tab.page.clock.run_for("09:50")
    await expect(tab.part("refresh")).to_be_visible()


async def test_a_token_of_years_is_not_asked_for_early(serving: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(ping_interval=NO_PING, welcome={"expires_at": in_minutes(60 * 24 * 365)})
    tab = await open_on(node, serving, tabs)
    await expect(tab.part("token-expiry")).to_contain_text("2031")
    await tab.page.clock.run_for("30:00")
    await expect(tab.part("refresh")).to_be_hidden()


async def test_the_focus_stays_where_it_was_when_a_newer_token_is_asked_for(serving: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(ping_interval=NO_PING, welcome={"expires_at": in_minutes(2)})
    tab = await open_on(node, serving, tabs)
    await tab.type("half a sen")
    await tab.page.clock.run_for("01:10")
    await expect(tab.part("refresh")).to_be_visible()
    await expect(tab.part("message-input")).to_be_focused()


async def test_a_newer_token_that_got_no_answer_can_be_sent_again(serving: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(ping_interval=NO_PING, welcome={"expires_at": in_minutes(0.5)}, unanswered={"refresh"})
    tab = await open_on(node, serving, tabs)
    await refresh(tab, SECOND)
    await node.wait_for("refresh")
    await tab.page.clock.run_for("00:20")
    await expect(tab.part("refresh-text")).to_have_text("The node did not answer. Send the token again.")
    assert await stored(tab) == [FIRST]


# ---- the end of a session


async def test_after_4401_the_page_waits_for_a_new_token_and_recovers_with_it(serving: Cluster, tabs: Tabs) -> None:
    log = Log("old", 1, 2)
    node = node_with(log)
    tab = await open_on(node, serving, tabs)
    await shows(tab, *log.texts(1, 2))

    await node.end(4401, "token expired")
    await is_asked_again(tab, "Your token has expired.")
    await tab.page.clock.run_for("02:00")
    assert len(node.sockets) == 1
    assert await stored(tab) == []

    node.oks["join"] = {"epoch": "old", "offset": 3, "recovered": True}
    await log_in(tab, SECOND)
    await tab.is_in_its_rooms()
    assert node.received("join")[-1]["recover"] == {"epoch": "old", "offset": 2}
    send_messages(node, log, 3)
    await shows(tab, *log.texts(1, 2), "1 message while you were away", "old 3")


async def test_a_token_of_the_address_answers_the_dialog_and_keeps_the_rooms(serving: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, serving, tabs, rooms="ops")
    await node.end(4401, "token expired")
    await is_asked_again(tab, "Your token has expired.")
    await tab.page.evaluate("(hash) => { location.hash = hash; }", f"token={SECOND}")
    await expect(tab.part("token-dialog")).to_be_hidden()
    await tab.is_in_its_rooms()
    assert await stored(tab) == [SECOND]
    assert [command["room"] for command in node.received("join")] == ["ops", "ops"]


async def test_a_session_that_ends_with_4501_was_revoked(serving: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, serving, tabs)
    await node.end(4501, "bad token")
    await is_asked_again(tab, "Your token has been revoked.")
    assert await stored(tab) == []


@pytest.mark.parametrize("code", [4500, 4504, 4505, 4506])
async def test_a_session_that_did_not_end_for_its_token_keeps_it(serving: Cluster, tabs: Tabs, code: int) -> None:
    node = ScriptedNode()
    tab = await open_on(node, serving, tabs)
    await node.end(code, "not wanted")
    await expect(tab.part("connection-state")).to_have_text("Ended")
    await expect(tab.part("token-dialog")).to_be_hidden()
    assert await stored(tab) == [FIRST]


async def test_a_limit_is_said_and_the_token_is_tried_again(serving: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode()
    tab = await open_on(node, serving, tabs)
    await node.end(1013, "connection limit reached", retry_after=30)
    await expect(tab.part("connection-banner")).to_contain_text("The connection limit is reached")
    await expect(tab.part("token-dialog")).to_be_hidden()
    await tab.page.clock.run_for("00:32")
    await expect(tab.part("node-name")).to_have_text("scripted-2")


async def test_a_lost_connection_keeps_the_newer_token_that_is_being_typed(serving: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(ping_interval=NO_PING, welcome={"expires_at": in_minutes(0.5)})
    tab = await open_on(node, serving, tabs)
    await tab.part("refresh-input").fill("half.a.tok")
    await node.end(4003, "no pong", retry_after=0)
    await tab.page.clock.run_for(1000)
    await expect(tab.part("node-name")).to_have_text("scripted-2")
    await expect(tab.part("refresh-input")).to_have_value("half.a.tok")


# ---- without tokens


async def test_a_node_that_asks_for_no_token_gets_none(cluster: Cluster, tabs: Tabs) -> None:
    tab = Tab(await tabs.new_page())
    await tab.page.goto(f"{cluster.nodes[0].url}/?user_id=ada&username=Ada#agent=plain&token={FIRST}")
    await tab.is_live()
    await expect(tab.page).to_have_url(re.compile("#agent=plain$"))
    assert await stored(tab) == []
    await expect(tab.part("token-expiry")).to_be_hidden()
