"""Presence on the page: a real Chromium and real nodes, which show a leave two seconds after it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.browser.tabs import SMALL_PHONE, Tab, Tabs
from tests.support.cluster import Cluster


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncIterator[Cluster]:
    async with Cluster(nodes=2, PRESENCE_GRACE="2") as running:
        yield running


async def a_visitor_comes_and_goes(cluster: Cluster, tabs: Tabs, room: str, *, seen_by: Tab) -> None:
    """A leave that began before this has been shown by now, or never will be."""
    passer_by = await tabs.open(cluster.nodes[1].url, "Passer-by", rooms=room)
    await expect(seen_by.person("Passer-by")).to_be_visible()
    await passer_by.page.close()
    await expect(seen_by.person("Passer-by")).to_have_count(0)


async def test_people_on_different_nodes_see_each_other(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="people-apart")
    await ada.sees("Ada")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="people-apart")
    await ada.sees("Ada", "Bob")
    await bob.sees("Bob", "Ada")
    await expect(ada.part("people-count")).to_have_text("2 people")
    await expect(ada.person("Ada")).to_contain_text("(you)")
    await expect(ada.person("Bob")).not_to_contain_text("(you)")


async def test_an_arrival_is_shown_to_others_only(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="arrival")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="arrival")
    await expect(ada.part("coming")).to_have_text("Bob joined")
    await bob.sees("Bob", "Ada")
    await expect(bob.part("coming")).to_have_count(0)


async def test_a_second_tab_adds_no_person(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="second-tab")
    await tabs.open(cluster.nodes[1].url, "Bob", rooms="second-tab")
    await tabs.open(cluster.nodes[0].url, "Bob", rooms="second-tab")
    await tabs.open(cluster.nodes[1].url, "Cyd", rooms="second-tab")
    await ada.sees("Ada", "Bob", "Cyd")
    await expect(ada.part("people-count")).to_have_text("3 people")
    await expect(ada.person("Bob").get_by_test_id("person-sessions")).to_have_text("2 tabs")
    await expect(ada.part("coming")).to_have_text("Bob and Cyd joined")


async def test_one_of_two_tabs_closed_is_no_leave(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="one-of-two")
    first = await tabs.open(cluster.nodes[1].url, "Bob", rooms="one-of-two")
    await tabs.open(cluster.nodes[0].url, "Bob", rooms="one-of-two")
    await first.page.close()
    await a_visitor_comes_and_goes(cluster, tabs, "one-of-two", seen_by=ada)
    await ada.sees("Ada", "Bob")
    await expect(ada.part("coming")).to_have_text("Bob joined · Passer-by left")


async def test_both_tabs_closed_is_a_leave(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="both")
    first = await tabs.open(cluster.nodes[1].url, "Bob", rooms="both")
    second = await tabs.open(cluster.nodes[0].url, "Bob", rooms="both")
    await ada.sees("Ada", "Bob")
    await first.page.close()
    await second.page.close()
    await ada.sees("Ada")
    await expect(ada.part("people-count")).to_have_text("1 person")
    await expect(ada.part("coming")).to_have_text("Bob left")


async def test_a_reload_is_no_leave(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="reload")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="reload")
    await bob.say("back in a second")
    await ada.shows_message("back in a second")
    await bob.page.reload()
    await bob.is_in_its_rooms()
    await a_visitor_comes_and_goes(cluster, tabs, "reload", seen_by=ada)
    await ada.sees("Ada", "Bob")
    await bob.sees("Bob", "Ada")
    await expect(ada.part("coming")).to_have_text(["Bob joined", "Passer-by left"])


async def test_a_message_ends_the_line_of_joins_and_leaves(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="lines")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="lines")
    await bob.say("good morning")
    await ada.shows_message("good morning")
    await tabs.open(cluster.nodes[1].url, "Cyd", rooms="lines")
    await expect(ada.part("coming")).to_have_text(["Bob joined", "Cyd joined"])


async def test_each_room_has_people_of_its_own(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="crowd,solitude")
    await tabs.open(cluster.nodes[1].url, "Bob", rooms="crowd")
    await ada.sees("Ada", "Bob")
    await ada.room("solitude").click()
    await ada.sees("Ada")
    await expect(ada.part("people-count")).to_have_text("1 person")


async def test_a_person_in_the_list_can_be_written_to(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="write-to")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="write-to")
    await ada.person("Bob").get_by_role("button").click()
    await ada.say("a word in your ear")
    await expect(bob.private("ada").get_by_test_id("unread")).to_have_text("1")
    await expect(ada.part("people")).to_be_hidden()


async def test_a_name_is_shown_literally(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="name-markup")
    await tabs.open(cluster.nodes[1].url, "<img src=x onerror=alert(1)>", rooms="name-markup")
    await ada.sees("Ada", "<img src=x onerror=alert(1)>")
    await expect(ada.part("coming")).to_have_text("<img src=x onerror=alert(1)> joined")
    await expect(ada.part("chat-view").locator("img")).to_have_count(0)


async def test_the_list_is_a_list_and_its_count_is_announced(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="announced")
    await tabs.open(cluster.nodes[1].url, "Bob", rooms="announced")
    people = ada.page.get_by_role("list", name="People here")
    await expect(people.get_by_role("listitem")).to_have_count(2)
    await expect(ada.page.get_by_role("status").get_by_text("2 people in announced")).to_have_count(1)
    await expect(ada.part("people-said")).to_have_attribute("aria-live", "polite")


async def test_a_phone_shows_the_list_when_asked(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="phone", viewport=SMALL_PHONE)
    await expect(ada.part("people-toggle")).to_have_attribute("aria-expanded", "false")
    await expect(ada.part("people")).to_be_hidden()
    await ada.part("people-toggle").press("Enter")
    await expect(ada.part("people-toggle")).to_have_attribute("aria-expanded", "true")
    await expect(ada.person("Ada")).to_be_in_viewport()
    assert await ada.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    await ada.page.keyboard.press("Escape")
    await expect(ada.part("people")).to_be_hidden()
    await expect(ada.part("people-toggle")).to_be_focused()


async def test_an_agent_lists_its_sessions(cluster: Cluster, tabs: Tabs) -> None:
    laptop = await tabs.open(cluster.nodes[0].url, "Ada", agent="agent-people")
    await expect(laptop.part("people-count")).to_have_text("1 session")
    phone = await tabs.open(cluster.nodes[1].url, "Ada", agent="agent-people")
    await expect(phone.part("people-count")).to_have_text("2 sessions")
    await expect(phone.person("Ada")).to_contain_text("2 sessions")


async def test_a_tab_that_reconnects_gets_a_new_list_of_people(tabs: Tabs) -> None:
    async with Cluster(nodes=2, PRESENCE_GRACE="1") as cluster:
        ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="listed-again")
        bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="listed-again")
        await ada.sees("Ada", "Bob")
        await cluster.nodes[0].kill()
        await tabs.open(cluster.nodes[1].url, "Cyd", rooms="listed-again")
        await bob.page.close()
        await expect(ada.part("people")).to_have_attribute("data-current", "false")
        await cluster.nodes[0].start()
        await ada.is_in_its_rooms()
        await ada.sees("Ada", "Cyd")
        await expect(ada.part("people")).to_have_attribute("data-current", "true")


async def test_a_large_room_is_a_count_until_it_is_small_again(tabs: Tabs) -> None:
    async with Cluster(nodes=1, PRESENCE_GRACE="0", PRESENCE_INLINE_MAX="1", PRESENCE_EVENTS_MAX="2") as cluster:
        url = cluster.nodes[0].url
        ada = await tabs.open(url, "Ada", rooms="large")
        await tabs.open(url, "Bob", rooms="large")
        cyd = await tabs.open(url, "Cyd", rooms="large")
        dan = await tabs.open(url, "Dan", rooms="large")
        await expect(ada.part("people-count")).to_have_text("4 people")
        await expect(ada.part("people-more")).to_contain_text("more")  # how many are named depends on who asked when
        await dan.page.close()
        await cyd.page.close()
        await ada.sees("Ada", "Bob")
        await expect(ada.part("people-more")).to_be_hidden()
