"""`tannoy-client` in Chromium: in pages of other origins, in workers, in React, and what only browsers tell."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.browser.scripted import ScriptedNode
from tests.browser.tabs import CHROMIUM, LAUNCH_ARGS, Tabs
from tests.support.cluster import Cluster
from tests.support.waiting import PATIENCE, value_becomes

PROJECT = Path(__file__).parents[2]


class Site:
    """Pages on an origin of their own, of this machine: Chromium lets no other page at a node on loopback."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.origin = f"http://localhost:{port}"

    def add(self, name: str, script: str) -> str:
        """The address of a new page."""
        html = f'<!doctype html><meta charset="utf-8"><div id="root"></div><script type="module">{script}</script>'
        (self._folder / f"{name}.html").write_text(html)
        return f"{self.origin}/{name}.html"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield Site(tmp_path, server.server_port)
        server.shutdown()
        serving.join()


def _import_from(cluster: Cluster) -> str:
    return f'import {{ connect }} from "{cluster.nodes[0].url}/static/tannoy-client.js";'


async def _chat(site: Site, page: Page, cluster: Cluster, user: str, *, node: int = 0) -> None:
    """A page with a client in the lobby: `client`, `room`, and the texts that it has `heard`."""
    script = f"""
        {_import_from(cluster)}
        window.client = connect("{cluster.nodes[node].ws_url}", {{ userId: "{user}" }});
        window.room = client.room("lobby");
        window.heard = [];
        room.on("message", ({{ content }}) => heard.push(content.text));
        await room.ready();
        window.isReady = true;
    """
    await page.goto(site.add(user, script))
    await _until(page, "window.isReady")


async def _until(page: Page, condition: str) -> None:
    await page.wait_for_function(condition, timeout=PATIENCE * 1000)


async def _say(page: Page, text: str) -> None:
    await page.evaluate("text => room.send({ text })", text)


async def test_pages_of_another_origin_on_two_nodes_hear_each_other(site: Site, cluster: Cluster, tabs: Tabs) -> None:
    ada, bob = await tabs.new_page(), await tabs.new_page()
    await _chat(site, ada, cluster, "ada")
    await _chat(site, bob, cluster, "bob", node=1)
    await _say(ada, "hello")
    await _say(bob, "hi")
    for page in (ada, bob):
        await _until(page, "heard.length === 2")
        assert await page.evaluate("heard") == ["hello", "hi"]
        await _until(page, "room.presence.count === 2")


async def test_a_worker_has_a_client_too(site: Site, cluster: Cluster, tabs: Tabs) -> None:
    page = await tabs.new_page()
    await _chat(site, page, cluster, "ada")
    worker = f"""
        {_import_from(cluster)}
        const room = await connect("{cluster.nodes[1].ws_url}", {{ userId: "worker" }}).join("lobby");
        await room.send({{ text: "from a worker" }});
    """
    start = (
        "code => { new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })), { type: 'module' }) }"
    )
    await page.evaluate(start, worker)
    await _until(page, "heard.includes('from a worker')")


async def _on_scripted(site: Site, node: ScriptedNode, cluster: Cluster, page: Page) -> None:
    await page.route_web_socket(re.compile("/ws"), node.accept)
    node.welcome |= {"message_max_bytes": 65536}
    node.oks |= {"join": {"users_count": 1, "version": 1}}
    await _chat(site, page, cluster, "ada")


async def test_the_network_coming_back_ends_the_wait_for_the_next_try(site: Site, cluster: Cluster, tabs: Tabs) -> None:
    node, page = ScriptedNode(), await tabs.new_page()
    await _on_scripted(site, node, cluster, page)
    await page.context.set_offline(True)
    await node.end(4001, "node is draining", retry_after=600)
    await _until(page, "client.state === 'waiting'")
    await page.context.set_offline(False)
    await _until(page, "client.state === 'connected'")
    assert len(node.sockets) == 2


async def test_a_tab_that_is_shown_again_looks_whether_its_connection_is_there(
    site: Site, cluster: Cluster, tabs: Tabs
) -> None:
    node, page = ScriptedNode(), await tabs.new_page(reusable=False)
    await page.clock.install()
    await _on_scripted(site, node, cluster, page)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await node.wait_for("ping")
    await page.clock.run_for("00:06")
    await _until(page, "client.state === 'connected' && client.status.node === 'scripted-2'")


@pytest.fixture
async def page_that_is_cached() -> AsyncIterator[Page]:
    """Playwright turns the back/forward cache off, so this is a browser of its own."""
    if CHROMIUM is None:
        pytest.skip("no `chromium` on the PATH: the browser tests need Debian's package of that name")
    off = "--disable-back-forward-cache"
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=LAUNCH_ARGS, ignore_default_args=[off]
        )
        yield await chromium.new_page()
        await chromium.close()


async def test_a_page_from_the_back_forward_cache_hears_what_it_has_missed(
    site: Site, cluster: Cluster, page_that_is_cached: Page
) -> None:
    page = page_that_is_cached
    await _chat(site, page, cluster, "ada")
    await page.evaluate("addEventListener('pageshow', ({ persisted }) => { window.wasCached = persisted; })")
    await page.goto(site.add("other", ""))
    message = {"content": {"text": "while it was away"}}
    await cluster.nodes[1].http.post("/api/v1/rooms/lobby/messages", json=message)
    await page.go_back(wait_until="commit")
    await _until(page, "window.wasCached")
    await _until(page, "heard.includes('while it was away')")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Makes one script of a file in JSX with all that it imports."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("no `npm` on the PATH: the packages of client/js need it")
    folder = tmp_path_factory.mktemp("react") / "client"
    shutil.copytree(PROJECT / "client/js", folder, ignore=shutil.ignore_patterns("node_modules", "dist", "test"))
    subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
    subprocess.run([node, "build.mjs"], cwd=folder, check=True)
    names = (("", "index"), ("/react", "react"))
    options = [
        *("--bundle", "--jsx=automatic", '--define:process.env.NODE_ENV="development"'),
        *(f"--alias:tannoy-client{name}={folder}/dist/esm/{file}.js" for name, file in names),
    ]
    environment = {**os.environ, "NODE_PATH": str(folder / "node_modules")}

    def make(script: Path) -> str:
        command = [str(folder / "node_modules/.bin/esbuild"), str(script), *options]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    return make


@pytest.fixture(scope="module")
def react_example(bundle: Callable[[Path], str]) -> str:
    return bundle(PROJECT / "docs/examples/lobby.jsx")


async def _show_react(site: Site, page: Page, example: str, cluster: Cluster, user: str) -> None:
    query = urlencode({"cluster": cluster.nodes[0].url, "user": user})
    await page.goto(f"{site.add(user, example)}?{query}")
    await expect(page.locator("#state")).to_have_text("connected")


async def test_the_example_in_react_shows_who_is_there_and_what_is_said(
    site: Site, cluster: Cluster, tabs: Tabs, react_example: str
) -> None:
    ada, bob = await tabs.new_page(), await tabs.new_page()
    await _show_react(site, ada, react_example, cluster, "ada-r")
    await expect(ada.locator("#people")).to_contain_text("ada-r")
    await ada.locator("input").fill("hello from react")
    await ada.locator("input").press("Enter")
    await expect(ada.locator("li").last).to_have_text("hello from react")
    await _show_react(site, bob, react_example, cluster, "bob-r")
    await expect(bob.locator("li").last).to_have_text("hello from react")  # from the history
    await expect(ada.locator("#people")).to_contain_text("bob-r")


async def test_a_room_in_react_that_was_hidden_shows_each_message_once(
    site: Site, cluster: Cluster, tabs: Tabs, bundle: Callable[[Path], str], tmp_path: Path
) -> None:
    script = tmp_path / "hidden.jsx"
    script.write_text(f"""
        import {{ Activity, useState }} from "react";
        import {{ createRoot }} from "react-dom/client";
        import {{ connect }} from "tannoy-client";
        import {{ useRoom }} from "tannoy-client/react";

        const client = connect("{cluster.nodes[0].ws_url}");
        function Room() {{
          const {{ items, isJoined, send }} = useRoom(client, "hidden");
          window.room = {{ texts: items.map((item) => item.content), isJoined, send }};
        }}
        function Page() {{
          const [mode, setMode] = useState("visible");
          window.setMode = setMode;
          return <Activity mode={{mode}}><Room /></Activity>;
        }}
        createRoot(document.getElementById("root")).render(<Page />);
    """)
    page = await tabs.new_page()
    await page.goto(site.add("hidden", bundle(script)))
    await _until(page, "window.room?.isJoined")
    await page.evaluate("room.send('before')")
    await _until(page, "room.texts.length === 1")
    await page.evaluate("setMode('hidden')")
    path = "/api/v1/rooms/hidden"
    await value_becomes(lambda: _users_of(cluster, path), 0)
    await cluster.nodes[1].http.post(f"{path}/messages", json={"content": "meanwhile"})
    await page.evaluate("setMode('visible')")
    await _until(page, "room.texts.at(-1) === 'meanwhile' || room.texts.length > 2")
    assert await page.evaluate("room.texts") == ["before", "meanwhile"]


async def _users_of(cluster: Cluster, path: str) -> object:
    return (await cluster.nodes[1].http.get(path)).json()["users_count"]
