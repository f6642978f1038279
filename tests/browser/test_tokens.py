"""Logging in to the chat page with a token: a real Chromium, real nodes, and only what can be seen."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import ConsoleMessage, expect

from tests.browser.tabs import SMALL_PHONE, Tab, Tabs
from tests.browser.tokens import (
    LAST_MINUTE,
    cluster_with_tokens,
    is_asked_again,
    log_in,
    open_page,
    open_with,
    refresh,
    stored,
    token_of,
)
from tests.support.cluster import Cluster

ADDRESS_AT_CONNECT = """
    window.WebSocket = class extends WebSocket {
        constructor(...given) { super(...given); window.addressAtConnect ??= location.href; }
    };
"""


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncIterator[Cluster]:
    async with cluster_with_tokens(2) as running:
        yield running


# ---- logging in


async def test_a_pasted_token_logs_in_and_the_page_shows_whose_it_is(cluster: Cluster, tabs: Tabs) -> None:
    tab = await open_page(cluster, tabs)
    await expect(tab.part("token-dialog")).to_contain_text("tannoy token --sub ada")
    await expect(tab.part("token-input")).to_be_focused()

    await log_in(tab, token_of("ada", username="Ada L."))

    await tab.is_in_its_rooms()
    await expect(tab.part("token-dialog")).to_be_hidden()
    await expect(tab.part("you")).to_have_attribute("title", "Ada L. (ada)")
    await expect(tab.part("token-expiry")).to_contain_text("Token valid until")
    await tab.say("it is me")
    await expect(tab.author("Ada L.")).to_be_visible()


@pytest.mark.parametrize("pasted", ["Bearer {}", " {}\n"], ids=["with its scheme", "with white space"])
async def test_a_token_may_be_pasted_with_what_is_around_it(cluster: Cluster, tabs: Tabs, pasted: str) -> None:
    await open_with(cluster, tabs, pasted.format(token_of()), "#rooms=pasted")


async def test_the_dialog_stays_until_there_is_a_token(cluster: Cluster, tabs: Tabs) -> None:
    tab = await open_page(cluster, tabs)
    for _ in range(3):
        await tab.page.keyboard.press("Escape")
    await log_in(tab, token_of())
    await tab.is_in_its_rooms()


@pytest.mark.parametrize("address", ["#rooms=first,second", "#agent=42"])
async def test_a_token_of_the_address_is_gone_from_it_before_the_page_connects(
    cluster: Cluster, tabs: Tabs, address: str
) -> None:
    token = token_of("ada", agents=["42"])
    tab = Tab(await tabs.new_page())
    await tab.page.add_init_script(ADDRESS_AT_CONNECT)

    await tab.page.goto(f"{cluster.nodes[0].url}/{address}&token={token}")

    await tab.is_in_its_rooms()
    await expect(tab.page).to_have_url(f"{cluster.nodes[0].url}/{address}")
    assert token not in await tab.page.evaluate("window.addressAtConnect")
    await expect(tab.part("you")).to_have_attribute("title", "ada (ada)")


async def test_a_token_in_the_address_of_an_open_page_logs_in_and_keeps_the_rooms(cluster: Cluster, tabs: Tabs) -> None:
    tab = await open_with(cluster, tabs, token_of("ada"), "#rooms=left,right")

    await tab.page.evaluate("(hash) => { location.hash = hash; }", f"token={token_of('bob')}")

    await expect(tab.part("you")).to_have_attribute("title", "bob (bob)")
    await expect(tab.page).to_have_url(re.compile("/#rooms=left,right$"))


async def test_a_token_in_the_address_answers_the_dialog(cluster: Cluster, tabs: Tabs) -> None:
    tab = await open_page(cluster, tabs, "#rooms=answered")
    await expect(tab.part("token-dialog")).to_be_visible()

    await tab.page.evaluate("(hash) => { location.hash = hash; }", f"token={token_of('ada')}")

    await tab.is_in_its_rooms()
    await expect(tab.part("token-dialog")).to_be_hidden()
    assert "token" not in tab.page.url


async def test_a_reload_keeps_the_token_and_another_tab_has_none(cluster: Cluster, tabs: Tabs) -> None:
    token = token_of()
    tab = await open_with(cluster, tabs, token, "#rooms=reloaded")

    await tab.page.reload()

    await tab.is_in_its_rooms()
    await expect(tab.part("token-dialog")).to_be_hidden()
    assert token not in str(await tab.page.evaluate("Object.values(localStorage)"))
    other = Tab(await tab.page.context.new_page())
    await other.page.goto(f"{cluster.nodes[0].url}/")
    await expect(other.part("token-dialog")).to_be_visible()


async def test_another_user_sees_nothing_of_the_one_before(cluster: Cluster, tabs: Tabs) -> None:
    tab = await open_with(cluster, tabs, token_of("ada"), "#rooms=handed-on")
    (await cluster.nodes[0].http.post("/api/v1/users/ada/messages", json={"content": "secret"})).raise_for_status()
    await expect(tab.part("private-tab")).to_have_count(1)

    await tab.part("you").click()
    await log_in(tab, token_of("bob"))

    await expect(tab.part("you")).to_have_attribute("title", "bob (bob)")
    await tab.is_in_its_rooms()
    await expect(tab.part("private-tab")).to_have_count(0)


async def test_no_token_is_written_to_the_console(cluster: Cluster, tabs: Tabs) -> None:
    lines: list[str] = []

    def note(message: ConsoleMessage) -> None:
        lines.append(message.text)

    tab = Tab(await tabs.new_page())
    tab.page.on("console", note)
    await tab.page.goto(f"{cluster.nodes[0].url}/#rooms=console&token={token_of(secret='x' * 32)}")
    await is_asked_again(tab, "was not accepted")
    await log_in(tab, token_of(seconds=LAST_MINUTE))
    await tab.is_in_its_rooms()
    await refresh(tab, token_of())
    await expect(tab.part("refresh")).to_be_hidden()
    assert lines == []


async def test_nothing_overflows_a_small_phone(cluster: Cluster, tabs: Tabs) -> None:
    tab = Tab(await tabs.new_page(viewport=SMALL_PHONE))
    await tab.page.goto(f"{cluster.nodes[0].url}/#rooms=phone&token={token_of(seconds=LAST_MINUTE)}")
    await expect(tab.part("refresh")).to_be_visible()
    assert await tab.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


# ---- refusals


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        (token_of(secret="x" * 32), "The token was not accepted: the signature of the token is wrong."),
        (token_of(seconds=-1), "This token has expired."),
    ],
    ids=["of another secret", "expired"],
)
@pytest.mark.parametrize("place", ["dialog", "address"])
async def test_a_token_that_is_refused_is_forgotten_and_asked_for_again(
    cluster: Cluster, tabs: Tabs, token: str, problem: str, place: str
) -> None:
    if place == "address":
        tab = await open_page(cluster, tabs, f"#rooms=refused&token={token}")
    else:
        tab = await open_page(cluster, tabs, "#rooms=refused")
        await log_in(tab, token)

    await is_asked_again(tab, problem)
    assert token not in await stored(tab)
    await expect(tab.part("notice")).to_be_hidden()

    await log_in(tab, token_of())
    await tab.is_in_its_rooms()


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "Paste a token first."), ("hunter2", "three parts"), ("a.b." + "c" * 8192, "at most 8192 characters")],
    ids=["nothing", "no token", "too long"],
)
async def test_what_can_not_be_a_token_is_not_sent(cluster: Cluster, tabs: Tabs, text: str, problem: str) -> None:
    tab = await open_page(cluster, tabs)
    await log_in(tab, text)
    await expect(tab.part("token-problem")).to_contain_text(problem)
    await expect(tab.part("token-input")).to_be_focused()
    await expect(tab.part("connection-state")).to_have_text("Not connected")


async def test_a_room_that_the_token_does_not_allow_is_named(cluster: Cluster, tabs: Tabs) -> None:
    tab = await open_with(cluster, tabs, token_of(rooms=["team.*"]), "#rooms=team.a,secret")
    await expect(tab.part("notice")).to_have_text("Your token does not allow the room “secret”.")
    await expect(tab.part("room-tab")).to_have_count(1)
    await expect(tab.room("team.a")).to_be_visible()


async def test_an_agent_that_the_token_does_not_allow_is_named_and_the_rooms_stay_open(
    cluster: Cluster, tabs: Tabs
) -> None:
    tab = await open_page(cluster, tabs, f"#agent=43&token={token_of(agents=['42'])}")
    await is_asked_again(tab, "does not allow agent 43")

    await tab.part("token-cancel").click()
    await expect(tab.part("connection-banner")).to_contain_text("Access is not allowed")
    await tab.part("to-rooms").click()

    await tab.is_in_its_rooms()


async def test_another_token_opens_the_agent(cluster: Cluster, tabs: Tabs) -> None:
    tab = await open_page(cluster, tabs, f"#agent=44&token={token_of()}")
    await is_asked_again(tab, "does not allow agent 44")
    await log_in(tab, token_of(agents=["44"]))
    await tab.is_live()
