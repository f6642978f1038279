"""A tab in a real Chromium, with a method for each thing that a person does there."""

import re
import shutil
from dataclasses import dataclass, field
from urllib.parse import urlencode

from playwright.async_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect

from tests.support.waiting import PATIENCE

CHROMIUM = shutil.which("chromium")
LAUNCH_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.example 127.0.0.1",  # foreign origins, whose servers are the test's
]
DESKTOP = ViewportSize(width=1280, height=800)
SMALL_PHONE = ViewportSize(width=360, height=740)
PATIENCE_MS = PATIENCE * 1000
"""What a page has to show may take as long as a busy machine needs."""
expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True)
class Tab:
    page: Page

    def part(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    def room(self, name: str) -> Locator:
        return self.part("room-tab").and_(self.page.locator(f'[data-name="{name}"]'))

    def private(self, user_id: str) -> Locator:
        return self.part("private-tab").and_(self.page.locator(f'[data-name="{user_id}"]'))

    def message(self, text: str) -> Locator:
        return self.part("message-text").get_by_text(text, exact=True)

    def author(self, name: str) -> Locator:
        return self.part("message-author").get_by_text(name, exact=True)

    def person(self, name: str) -> Locator:
        return self.part("person").filter(has=self.part("person-name").get_by_text(name, exact=True))

    async def sees(self, *names: str) -> None:
        """In the list of people, in this order, and no others."""
        await expect(self.part("person-name")).to_have_text(list(names))

    async def node(self) -> str:
        await expect(self.part("node-name")).to_have_text(re.compile("."))
        return await self.part("node-name").inner_text()

    async def type(self, text: str) -> None:
        await self.part("message-input").press_sequentially(text)

    async def say(self, text: str) -> None:
        await self.part("message-input").fill(text)
        await self.part("message-input").press("Enter")

    async def shows_message(self, text: str) -> None:
        await expect(self.message(text)).to_be_visible()

    async def is_live(self) -> None:
        await expect(self.part("connection-state")).to_have_text("Live")

    async def is_in_its_rooms(self) -> None:
        """Live, and every join answered: from now on it misses no message."""
        await self.is_live()
        await expect(self.part("room-tabs").locator('[data-joined="false"]')).to_have_count(0)


class Profiles:
    """Browser profiles that tests take, use, and give back empty: no two tests share what a page has stored.

    Most of what a new profile costs is the process that shows its pages, half a second of CPU; a page that stays open
    keeps it. Pages of a profile share its process only if they are of one site, as those of all nodes on loopback are.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: list[BrowserContext] = []

    async def take(self) -> BrowserContext:
        return self._free.pop() if self._free else await self.create()

    async def create(self) -> BrowserContext:
        profile = await self._browser.new_context(viewport=DESKTOP)
        stays = await profile.new_page()
        await stays.route("**", lambda route: route.fulfill(body="stays open"))
        await stays.goto("http://127.0.0.1/")
        return profile

    async def give_back(self, profile: BrowserContext) -> None:
        _, *of_test = profile.pages
        for page in of_test:
            await page.close()
        await profile.set_offline(False)
        await profile.set_storage_state({"cookies": [], "origins": []})
        self._free.append(profile)


@dataclass
class Tabs:
    """Opens tabs; each is in a browser profile of its own, so that no two share a name or a cache."""

    browser: Browser
    profiles: Profiles
    _taken: list[BrowserContext] = field(default_factory=list["BrowserContext"])
    _ending: list[BrowserContext] = field(default_factory=list["BrowserContext"])

    async def new_page(self, *, viewport: ViewportSize = DESKTOP, reusable: bool = True) -> Page:
        """Not `reusable`: the profile ends with the test, since a clock that a test moves stays in its profile."""
        if not reusable:
            self._ending.append(await self.browser.new_context(viewport=viewport))
            return await self._ending[-1].new_page()
        profile = await self.profiles.take()
        self._taken.append(profile)
        page = await profile.new_page()
        if viewport != DESKTOP:
            await page.set_viewport_size(viewport)
        return page

    async def open(
        self,
        url: str,
        user: str,
        *,
        rooms: str | None = None,
        agent: str | None = None,
        viewport: ViewportSize = DESKTOP,
    ) -> Tab:
        tab = Tab(await self.new_page(viewport=viewport))
        address = f"#rooms={rooms}" if rooms else f"#agent={agent}" if agent else ""
        query = urlencode({"user_id": re.sub(r"\W", "", user.lower()), "username": user})
        await tab.page.goto(f"{url}/?{query}{address}")
        await tab.is_in_its_rooms()
        return tab

    async def close(self) -> None:
        for profile in self._taken:
            await self.profiles.give_back(profile)
        for profile in self._ending:
            await profile.close()
