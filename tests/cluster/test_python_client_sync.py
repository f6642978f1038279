"""The Python client for scripts, without asyncio, against a real node."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable

import pytest
from tannoy.client import Message
from tannoy.client.errors import ClientMisused, CommandRefused, NoAnswer
from tannoy.client.events import PrivateMessage
from tannoy.client.sync import connect

from tests.support.cluster import Cluster, NodeProcess
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1) as cluster:
        yield cluster.nodes[0]


async def run(script: Callable[[], None]) -> None:
    """As a script would run it: in a thread without an event loop."""
    await asyncio.to_thread(script)


async def test_a_script_talks_in_a_room(node: NodeProcess) -> None:
    def script() -> None:
        with connect(node.ws_url, user_id="ada", encoding="msgpack") as client:
            room = client.join("script")
            position = room.send({"hi": 1})
            item = room.receive(PATIENCE)
            assert position is not None
            assert isinstance(item, Message)
            assert (item.content, item.offset, client.user_id) == ({"hi": 1}, position.offset, "ada")
            assert [message.content for message in room.history()] == [{"hi": 1}]
            assert ([user.user_id for user in room.users], room.users_count) == (["ada"], 1)
            room.send("bye")
            room.leave()
            assert [each.content for each in room if isinstance(each, Message)] == ["bye"]

    await run(script)


async def test_a_script_is_a_session_of_an_agent(node: NodeProcess) -> None:
    def script() -> None:
        with connect(node.ws_url, user_id="ada") as client:
            agent = client.agent("42", session_id="tab")
            agent.send("step")
            item = next(agent)
            assert isinstance(item, Message)
            assert item.content == "step"
            assert [session.session_id for session in agent.sessions()] == ["tab"]
            agent.close()

    await run(script)


async def test_a_script_gets_private_messages_as_events(node: NodeProcess) -> None:
    def script() -> None:
        with connect(node.ws_url, user_id="script-ada") as client:
            events = client.events()
            assert client.private("script-ada", "psst") == 1
            event = next(events)
            assert isinstance(event, PrivateMessage)
            assert event.content == "psst"

    await run(script)


async def test_a_script_that_waits_in_vain_goes_on_after_its_time(node: NodeProcess) -> None:
    def script() -> None:
        with connect(node.ws_url) as client:
            assert client.join("silent").receive(0.05) is None

    await run(script)


async def test_a_script_gets_the_errors_of_the_client(node: NodeProcess) -> None:
    def script() -> None:
        with connect(node.ws_url) as client:
            room = client.join("observed", observe=True)
            with pytest.raises(CommandRefused):
                room.send("not allowed")
        with pytest.raises(ClientMisused, match="closed"):
            client.join("lobby")
        with pytest.raises(ClientMisused, match="not open"):
            connect(node.ws_url).join("lobby")

    await run(script)


async def test_a_client_that_can_not_connect_leaves_no_thread_behind(anyio_backend: str) -> None:
    def script() -> None:
        before = threading.active_count()
        with pytest.raises(NoAnswer), connect(f"ws://127.0.0.1:{free_port()}", connect_timeout=0.1):
            pass
        assert threading.active_count() == before

    await run(script)
