"""`tannoy up` and a browser: two tabs meet across nodes, and one outlives the node it was on."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.tabs import Tab, Tabs
from tests.support import processes
from tests.support.cluster import environment
from tests.support.ports import free_ports_in_a_row
from tests.support.waiting import PATIENCE, eventually

NODES = 3
NUMBERS = range(1, NODES + 1)
TABS_MAX = 20


@dataclass(frozen=True)
class Up:
    """A running `tannoy up`: a shared port, and one more for each node."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def node_url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.port + number}"

    async def is_ready(self) -> bool:
        """Every node of it, on the port of its own."""
        async with httpx.AsyncClient() as client:
            try:
                answers = [await client.get(f"{self.node_url(number)}/health/ready") for number in NUMBERS]
            except httpx.TransportError:
                return False
        return all(answer.is_success for answer in answers)

    async def kill_node(self, name: str) -> None:
        async with httpx.AsyncClient() as client:
            for number in NUMBERS:
                facts = (await client.get(f"{self.node_url(number)}/diagnostics")).raise_for_status().json()
                if facts["node"] == name:
                    os.kill(facts["pid"], signal.SIGKILL)
                    return
        raise AssertionError(f"no node is named {name}")


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    running = Up(free_ports_in_a_row(NODES + 1))
    log = tmp_path / "up.log"
    command = [sys.executable, "-m", "tannoy", "up", "--nodes", str(NODES), "--port", str(running.port)]
    with log.open("wb") as output:
        process = processes.start(command, cwd=tmp_path, env=environment({}), output=output, errors=output)
    try:
        await eventually(running.is_ready, what="`tannoy up` is ready")
        yield running
    except AssertionError as error:
        error.add_note(log.read_text())
        raise
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, PATIENCE)
        finally:
            processes.end_group(process)


async def two_on_different_nodes(url: str, tabs: Tabs, room: str) -> tuple[Tab, Tab]:
    """The kernel spreads connections over the nodes as it likes, so open tabs until it has."""
    ada = await tabs.open(url, "Ada", rooms=room)
    for _ in range(TABS_MAX):
        bob = await tabs.open(url, "Bob", rooms=room)
        if await bob.node() != await ada.node():
            return ada, bob
        await bob.page.close()
    raise AssertionError(f"{TABS_MAX} tabs, all on one node")


async def test_a_tab_moves_to_another_node_when_its_own_is_killed(up: Up, tabs: Tabs) -> None:
    ada, bob = await two_on_different_nodes(up.url, tabs, "lobby")
    await ada.say("can you read this?")
    await bob.shows_message("can you read this?")

    lost = await ada.node()
    await up.kill_node(lost)
    await expect(ada.part("node-name")).not_to_have_text(lost)
    await ada.is_in_its_rooms()
    assert await ada.node() != lost

    await bob.say("welcome back")
    await ada.shows_message("welcome back")
