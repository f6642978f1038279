"""The page of the README as it stands, on another origin of this machine, and on origins that are not."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.support.cluster import Cluster

PROJECT = Path(__file__).parents[2]
URL = "ws://127.0.0.1:8000/"


def page_of_readme() -> str:
    """The only block of HTML in the README."""
    (page,) = re.findall(r"^```html\n(.*?)^```", (PROJECT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    assert URL in page
    return str(page)


@pytest.fixture
def port(tmp_path: Path, cluster: Cluster) -> Iterator[int]:
    """Of a server that serves the page, with the address of the cluster in it."""
    (tmp_path / "page.html").write_text(page_of_readme().replace(URL, f"{cluster.nodes[0].ws_url}/"))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_page_of_the_readme_shows_what_is_published(
    browser: Browser, cluster: Cluster, port: int, host: str
) -> None:
    async with await browser.new_page() as page:
        async with page.expect_websocket() as opening:
            await page.goto(f"http://{host}:{port}/page.html")
        await (await opening.value).wait_for_event("framereceived")
        await cluster.nodes[1].http.post("/api/v1/rooms/orders/messages", json={"content": {"order": host}})
        await expect(page.locator("#orders")).to_contain_text(f'{{"order":"{host}"}}')


@pytest.mark.parametrize("host", ["shop.example", "localhost.example"])
async def test_the_page_can_not_connect_from_a_foreign_origin(
    browser: Browser, cluster: Cluster, port: int, host: str
) -> None:
    node = cluster.nodes[0]
    before = await node.count("refused", "origin")
    async with await browser.new_page() as page:
        await page.goto(f"http://{host}:{port}/page.html")
        await page.wait_for_function("socket.readyState === WebSocket.CLOSED")
        assert await node.count("refused", "origin") == before + 1
        await expect(page.locator("#orders")).to_be_empty()
