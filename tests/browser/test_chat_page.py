"""The chat page as people use it: a real Chromium, real nodes, and only what can be seen."""

import json
import re

import httpx
import pytest
from playwright.async_api import ConsoleMessage, expect

from tests.browser.tabs import SMALL_PHONE, Tab, Tabs
from tests.support.cluster import Cluster


async def publish(url: str, channel: str, **message: object) -> None:
    """As a back end does: `channel` is `rooms/lobby` or `agents/42`."""
    async with httpx.AsyncClient() as back_end:
        answer = await back_end.post(f"{url}/api/v1/{channel}/messages", json=message)
        answer.raise_for_status()


async def test_the_first_visit_asks_for_a_name(cluster: Cluster, tabs: Tabs) -> None:
    tab = Tab(await tabs.new_page())
    await tab.page.goto(cluster.nodes[0].url)
    await tab.part("name-input").fill("Ada")
    await tab.part("name-input").press("Enter")
    await tab.is_in_its_rooms()
    await tab.say("my name is Ada")
    await expect(tab.author("Ada")).to_be_visible()


async def test_a_guest_needs_no_name(cluster: Cluster, tabs: Tabs) -> None:
    tab = Tab(await tabs.new_page())
    await tab.page.goto(cluster.nodes[0].url)
    await tab.part("name-guest").click()
    await tab.is_in_its_rooms()
    await tab.say("no name at all")
    await expect(tab.part("message-author").last).to_have_text(re.compile("^guest-"))


async def test_a_name_may_hold_what_a_node_would_refuse(cluster: Cluster, tabs: Tabs) -> None:
    tab = Tab(await tabs.new_page())
    await tab.page.goto(cluster.nodes[0].url)
    await tab.part("name-input").fill("\u00a0A\u202eda \U0001f469\u200d\U0001f680")
    await tab.part("name-join").click()
    await tab.is_in_its_rooms()
    await tab.say("who is it?")
    await expect(tab.part("message-author").last).to_have_text("Ada \U0001f469\u200d\U0001f680")


async def test_a_new_name_is_used_at_once(cluster: Cluster, tabs: Tabs) -> None:
    tab = await tabs.open(cluster.nodes[0].url, "Ada", rooms="renamed")
    await tab.part("you").click()
    await tab.part("name-input").fill("Ada Lovelace")
    await tab.part("name-join").click()
    await expect(tab.part("you")).to_have_attribute("title", re.compile("Ada Lovelace"))
    await tab.is_in_its_rooms()
    await tab.say("it is still me")
    await expect(tab.author("Ada Lovelace")).to_be_visible()


async def test_the_name_is_asked_for_once(cluster: Cluster, tabs: Tabs) -> None:
    tab = Tab(await tabs.new_page())
    await tab.page.goto(cluster.nodes[0].url)
    await tab.part("name-input").fill("Ada")
    await tab.part("name-join").click()
    await tab.is_live()
    await tab.page.reload()
    await tab.is_live()
    await expect(tab.part("name-dialog")).to_be_hidden()


async def test_without_an_address_the_page_opens_the_lobby(cluster: Cluster, tabs: Tabs) -> None:
    tab = await tabs.open(cluster.nodes[0].url, "Ada")
    await expect(tab.part("conversation-title")).to_have_text("lobby")


async def test_the_page_names_its_node(cluster: Cluster, tabs: Tabs) -> None:
    tab = await tabs.open(cluster.nodes[1].url, "Ada")
    await expect(tab.part("node-name")).to_have_text(cluster.nodes[1].name)


async def test_tabs_on_different_nodes_chat(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="nodes-apart")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="nodes-apart")
    await ada.say("hello over there")
    await bob.shows_message("hello over there")
    await bob.say("hello yourself")
    await ada.shows_message("hello yourself")


async def test_an_own_message_is_shown_once_and_as_sent(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="own-echo")
    await ada.say("just once")
    await expect(ada.part("message")).to_have_attribute("data-state", "sent")
    await ada.say("and then this")
    await expect(ada.part("message-text")).to_have_text(["just once", "and then this"])


async def test_a_room_not_shown_counts_what_is_unread(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="front,back")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="back")
    await bob.say("one")
    await bob.say("two")
    await expect(ada.room("back").get_by_test_id("unread")).to_have_text("2")
    await expect(ada.room("front").get_by_test_id("unread")).to_be_hidden()


async def test_showing_a_room_marks_it_read(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="near,far")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="far")
    await bob.say("look here")
    await expect(ada.room("far").get_by_test_id("unread")).to_be_visible()
    await ada.room("far").click()
    await ada.shows_message("look here")
    await expect(ada.room("far").get_by_test_id("unread")).to_be_hidden()


async def test_a_room_can_be_joined_while_in_another(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="first")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="second")
    await ada.part("add-room-input").fill("second")
    await ada.part("add-room-input").press("Enter")
    await ada.is_in_its_rooms()
    await bob.say("welcome to the second")
    await ada.shows_message("welcome to the second")


async def test_a_reload_keeps_the_rooms(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="kept")
    await ada.part("add-room-input").fill("added")
    await ada.part("add-room").click()
    await ada.page.reload()
    await ada.is_in_its_rooms()
    await expect(ada.part("room-tab")).to_have_count(2)
    await expect(ada.room("added")).to_be_visible()


async def test_a_room_left_is_gone_from_the_address(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="stay,go")
    await ada.room("go").click()
    await ada.part("leave").click()
    await expect(ada.room("go")).to_have_count(0)
    await expect(ada.page).to_have_url(re.compile("#rooms=stay$"))


async def test_a_bad_room_name_is_explained(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="good-names")
    await ada.part("add-room-input").fill("not a name")
    await ada.part("add-room").click()
    await expect(ada.part("notice")).to_contain_text("The name of a room")


async def test_typing_is_shown_to_the_others(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="typing-others")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="typing-others")
    await ada.type("thinking")
    await expect(bob.part("typing")).to_have_text("Ada is typing…")


async def test_typing_is_not_shown_to_its_author(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="typing-self")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="typing-self")
    await ada.type("thinking")
    await expect(bob.part("typing")).to_have_text("Ada is typing…")
    await expect(ada.part("typing")).to_be_empty()


async def test_a_message_ends_the_typing_of_its_author(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="typing-ends")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="typing-ends")
    await ada.type("done")
    await expect(bob.part("typing")).to_have_text("Ada is typing…")
    await ada.part("message-input").press("Enter")
    await bob.shows_message("done")
    assert await bob.part("typing").inner_text() == ""


async def test_a_click_on_a_name_opens_a_private_conversation(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="private-click")
    bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="private-click")
    await ada.say("who can help?")
    await bob.author("Ada").click()
    await bob.say("I can, between us")
    await expect(ada.private("bob").get_by_test_id("unread")).to_have_text("1")
    await ada.private("bob").click()
    await ada.shows_message("I can, between us")


async def test_a_private_message_without_receivers_is_shown_as_undelivered(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="private-unread")
    url = cluster.nodes[0].url
    await publish(url, "rooms/private-unread", content="I am off", user_id="ghost", username="Ghost")
    await ada.author("Ghost").click()
    await ada.say("are you there?")
    await expect(ada.part("message-fate")).to_contain_text("not connected")


async def test_the_agent_view_shows_messages_of_the_back_end(cluster: Cluster, tabs: Tabs) -> None:
    agent = await tabs.open(cluster.nodes[0].url, "Ada", agent="agent-shows")
    await publish(cluster.nodes[1].url, "agents/agent-shows", content={"text": "caller 12 waits"})
    await expect(agent.part("agent-view").get_by_test_id("message-text")).to_have_text("caller 12 waits")


async def test_a_message_of_the_agent_view_reaches_all_its_sessions(cluster: Cluster, tabs: Tabs) -> None:
    laptop = await tabs.open(cluster.nodes[0].url, "Ada", agent="agent-speaks")
    phone = await tabs.open(cluster.nodes[2].url, "Ada", agent="agent-speaks")
    await laptop.say("back in five minutes")
    await phone.shows_message("back in five minutes")
    await laptop.shows_message("back in five minutes")


async def test_the_agent_view_asks_which_agent(cluster: Cluster, tabs: Tabs) -> None:
    ada = await tabs.open(cluster.nodes[0].url, "Ada")
    await ada.part("to-agent").click()
    await ada.part("agent-id-input").fill("agent-asked")
    await ada.part("open-agent").click()
    await ada.is_live()
    await expect(ada.part("conversation-title")).to_have_text("Agent agent-asked")
    await expect(ada.page).to_have_url(re.compile("#agent=agent-asked$"))


async def test_content_of_any_shape_is_shown_as_json(cluster: Cluster, tabs: Tabs) -> None:
    content = {"event": "offered", "queue": ["billing", None], "waited_s": 3.5}
    agent = await tabs.open(cluster.nodes[0].url, "Ada", agent="agent-json")
    await publish(cluster.nodes[0].url, "agents/agent-json", content=content)
    await expect(agent.part("message-json")).to_be_visible()
    assert json.loads(await agent.part("message-json").inner_text()) == content


async def test_markup_is_shown_literally(cluster: Cluster, tabs: Tabs) -> None:
    text = '<script>document.title = "taken"</script> <img src=x onerror=alert(1)> &amp; 👩‍🚀🎉'
    ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="markup")
    bob = await tabs.open(cluster.nodes[1].url, "<b>Bob</b>", rooms="markup")
    await bob.say(text)
    await ada.shows_message(text)
    await expect(ada.author("<b>Bob</b>")).to_be_visible()
    await expect(ada.part("message-list").locator("script, img, b")).to_have_count(0)


async def test_the_page_stays_within_its_security_policy(cluster: Cluster, tabs: Tabs) -> None:
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    tab = Tab(await tabs.new_page())
    tab.page.on("console", note)
    answer = await tab.page.goto(f"{cluster.nodes[0].url}/?user_id=ada&username=Ada#rooms=policy")
    assert answer is not None
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    await tab.is_in_its_rooms()
    await tab.say("one line\nand another")
    await expect(tab.part("message")).to_have_attribute("data-state", "sent")
    assert complaints == []


@pytest.mark.parametrize("address", ["#rooms=small,operations,a-room-with-a-long-name", "#agent=small", "#agent="])
async def test_nothing_overflows_a_small_phone(cluster: Cluster, tabs: Tabs, address: str) -> None:
    tab = Tab(await tabs.new_page(viewport=SMALL_PHONE))
    await tab.page.goto(f"{cluster.nodes[0].url}/?user_id=ada&username=Ada{address}")
    if address != "#agent=":
        await tab.is_in_its_rooms()
        await tab.say("https://example.org/" + "with-no-place-to-break-it" * 12)
        await expect(tab.part("message")).to_have_attribute("data-state", "sent")
    assert await tab.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


async def test_text_typed_while_the_node_is_away_is_kept(tabs: Tabs) -> None:
    async with Cluster(nodes=1) as cluster:
        ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="kept-text")
        await cluster.nodes[0].kill()
        await expect(ada.part("connection-banner")).to_be_visible()
        await ada.say("not lost")
        await expect(ada.part("hint")).to_contain_text("Your text stays here")
        await expect(ada.part("message-input")).to_have_value("not lost")


async def test_the_page_comes_back_with_its_node_and_rejoins(tabs: Tabs) -> None:
    async with Cluster(nodes=2) as cluster:
        ada = await tabs.open(cluster.nodes[0].url, "Ada", rooms="here,there")
        bob = await tabs.open(cluster.nodes[1].url, "Bob", rooms="there")
        await cluster.nodes[0].kill()
        await expect(ada.part("connection-banner")).to_be_visible()
        await cluster.nodes[0].start()
        await ada.is_in_its_rooms()
        await bob.say("you are back")
        await expect(ada.room("there").get_by_test_id("unread")).to_have_text("1")
