"""Tokens of a cluster that asks for them, and what a person does with them in a tab."""

import time
from typing import Any

from playwright.async_api import expect
from tannoy.node.auth.signing import sign_token

from tests.browser.tabs import Tab, Tabs
from tests.support.cluster import Cluster

SECRET = "a-secret-that-only-the-back-end-and-the-nodes-know"
LAST_MINUTE = 59
"""Seconds of a token for which the page asks for a newer one at once."""


def cluster_with_tokens(nodes: int) -> Cluster:
    """Nodes that ask for tokens and serve the page."""
    return Cluster(nodes, AUTH="jwt", JWT_SECRET=SECRET, CHAT_PAGE="on")


def token_of(user: str = "ada", *, seconds: float = 600, secret: str = SECRET, **claims: Any) -> str:
    return sign_token(secret, subject=user, expires_at=time.time() + seconds, **claims)


async def open_page(cluster: Cluster, tabs: Tabs, address: str = "") -> Tab:
    """A tab without a token, unless its address has one."""
    tab = Tab(await tabs.new_page())
    await tab.page.goto(f"{cluster.nodes[0].url}/{address}")
    return tab


async def open_with(cluster: Cluster, tabs: Tabs, token: str, address: str) -> Tab:
    """A tab that has logged in, and is in the rooms or the agent of its address."""
    tab = await open_page(cluster, tabs, address)
    await log_in(tab, token)
    await tab.is_in_its_rooms()
    return tab


async def log_in(tab: Tab, token: str) -> None:
    """Paste a token into the dialog that asks for one."""
    await tab.part("token-input").fill(token)
    await tab.part("token-input").press("Enter")


async def refresh(tab: Tab, token: str) -> None:
    """Paste a newer token into the form that asks for one."""
    await tab.part("refresh-input").fill(token)
    await tab.part("refresh-input").press("Enter")


async def is_asked_again(tab: Tab, problem: str) -> None:
    """For a token, in an empty field with the focus, after a sentence that contains `problem`."""
    await expect(tab.part("token-problem")).to_contain_text(problem)
    await expect(tab.part("token-input")).to_be_focused()
    await expect(tab.part("token-input")).to_have_value("")


async def stored(tab: Tab) -> list[str]:
    """Everything in the storages of the tab."""
    kept: list[str] = await tab.page.evaluate("[...Object.values(sessionStorage), ...Object.values(localStorage)]")
    return kept
