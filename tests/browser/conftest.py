from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.tabs import CHROMIUM, LAUNCH_ARGS, Profiles, Tabs
from tests.support.cluster import Cluster


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    """One for all tests, each in tabs of its own: to start Chromium costs as much as five tests."""
    if CHROMIUM is None:
        pytest.skip("no `chromium` on the PATH: the browser tests need Debian's package of that name")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=LAUNCH_ARGS)
        yield chromium
        await chromium.close()


@pytest.fixture(scope="session")
async def profiles(browser: Browser) -> Profiles:
    return Profiles(browser)


@pytest.fixture
async def tabs(browser: Browser, profiles: Profiles) -> AsyncIterator[Tabs]:
    opened = Tabs(browser, profiles)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncIterator[Cluster]:
    async with Cluster(nodes=3) as running:
        yield running
