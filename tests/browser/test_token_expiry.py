"""The chat page when its token ends, or is revoked: a real Chromium, real nodes, and only what can be seen."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import WebSocket, expect

from tests.browser.tabs import Tab, Tabs
from tests.browser.tokens import (
    LAST_MINUTE,
    cluster_with_tokens,
    is_asked_again,
    log_in,
    open_with,
    refresh,
    stored,
    token_of,
)
from tests.support.cluster import Cluster, NodeProcess

A_DAY = 86_400
"""Seconds of a token that is made when the tests are collected, long before it is used."""


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncIterator[Cluster]:
    async with cluster_with_tokens(2) as running:
        yield running


async def publish(node: NodeProcess, channel: str, *texts: str) -> None:
    """As a back end does: `channel` is `rooms/lobby` or `agents/42`."""
    for text in texts:
        (await node.http.post(f"/api/v1/{channel}/messages", json={"content": text})).raise_for_status()


async def test_a_newer_token_is_taken_without_a_reconnect_and_kept(cluster: Cluster, tabs: Tabs) -> None:
    sockets: list[WebSocket] = []

    def note(socket: WebSocket) -> None:
        sockets.append(socket)

    newer = token_of(seconds=30 * A_DAY)
    tab = Tab(await tabs.new_page())
    tab.page.on("websocket", note)
    await tab.page.goto(f"{cluster.nodes[0].url}/#rooms=refreshed&token={token_of(seconds=LAST_MINUTE)}")
    await tab.is_in_its_rooms()
    await expect(tab.part("refresh-text")).to_contain_text("expires in less than a minute")
    first = await tab.part("token-expiry").inner_text()

    await refresh(tab, newer)

    await expect(tab.part("refresh")).to_be_hidden()
    await expect(tab.part("token-expiry")).not_to_have_text(first)
    assert await stored(tab) == [newer]
    assert len(sockets) == 1
    await tab.say("still here")
    await tab.shows_message("still here")


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        (token_of("mallory", seconds=A_DAY), "of another user"),
        (token_of(rooms=["other"], seconds=A_DAY), "does not allow room kept"),
        (token_of(seconds=-1), "has expired too"),
        ("hunter2", "three parts"),
    ],
    ids=["of another user", "without the room", "expired", "no token"],
)
async def test_a_newer_token_that_is_refused_changes_nothing(
    cluster: Cluster, tabs: Tabs, token: str, problem: str
) -> None:
    first = token_of(seconds=LAST_MINUTE)
    tab = await open_with(cluster, tabs, first, "#rooms=kept")

    await refresh(tab, token)

    await expect(tab.part("refresh-text")).to_contain_text(problem)
    await expect(tab.part("refresh-input")).to_be_focused()
    assert await stored(tab) == [first]
    await tab.say("still here")
    await expect(tab.part("message").last).to_have_attribute("data-state", "sent")


@pytest.mark.parametrize(
    ("channel", "address"), [("rooms/expired", "#rooms=expired"), ("agents/expired", "#agent=expired")]
)
async def test_after_the_end_of_a_token_a_new_one_brings_what_was_missed(
    cluster: Cluster, tabs: Tabs, channel: str, address: str
) -> None:
    tab = await open_with(cluster, tabs, token_of(seconds=LAST_MINUTE, agents=["expired"]), address)
    await publish(cluster.nodes[1], channel, "before")
    await tab.shows_message("before")
    await refresh(tab, token_of(seconds=5, agents=["expired"]))  # so that its end comes when the tab is in the channel

    await is_asked_again(tab, "Your token has expired.")
    await publish(cluster.nodes[1], channel, "missed", "too")
    await log_in(tab, token_of(agents=["expired"]))

    await tab.is_in_its_rooms()
    await publish(cluster.nodes[1], channel, "after")
    await expect(tab.part("message-text")).to_have_text(["before", "missed", "too", "after"])
    await expect(tab.part("note")).to_have_text("2 messages while you were away")
    await expect(tab.part("gap")).to_have_count(0)


async def test_a_token_without_history_comes_back_with_a_note_of_what_may_be_missing(
    cluster: Cluster, tabs: Tabs
) -> None:
    tab = await open_with(cluster, tabs, token_of(seconds=LAST_MINUTE, can=["publish"]), "#rooms=unread")
    await publish(cluster.nodes[1], "rooms/unread", "before")
    await tab.shows_message("before")
    await refresh(tab, token_of(seconds=5, can=["publish"]))

    await is_asked_again(tab, "Your token has expired.")
    await publish(cluster.nodes[1], "rooms/unread", "missed")
    await log_in(tab, token_of(can=["publish"]))

    await tab.is_in_its_rooms()
    await publish(cluster.nodes[1], "rooms/unread", "after")
    await expect(tab.part("message-text")).to_have_text(["before", "after"])
    await expect(tab.part("gap")).to_have_count(1)


@pytest.mark.parametrize("field", ["jti", "user_id"])
@pytest.mark.parametrize("address", ["#rooms=revoked", "#agent=revoked"])
async def test_a_revoked_session_is_told_so_in_words_and_another_token_brings_it_back(
    cluster: Cluster, tabs: Tabs, field: str, address: str
) -> None:
    name = f"{field}-{address[1:].partition('=')[0]}"  # no two of these tests revoke the same
    stolen = token_of(name, token_id=name, agents=["revoked"])
    tab = await open_with(cluster, tabs, stolen, address)

    revoked = await cluster.nodes[1].http.post("/api/v1/revocations", json={field: name})

    assert revoked.status_code == 200, revoked.text
    await is_asked_again(tab, "Your token has been revoked. Paste another one.")
    assert await stored(tab) == []
    await log_in(tab, stolen)
    await is_asked_again(tab, "The token was not accepted: the token, or its user, has been revoked.")
    await log_in(tab, token_of(f"another-{name}", agents=["revoked"]))
    await tab.is_in_its_rooms()
