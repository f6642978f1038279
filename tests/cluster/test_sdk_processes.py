"""Publishers in threads, in forked processes and in event loops: where each may be used, and what is said elsewhere."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tannoy import AsyncPublisher, Position, Publisher, PublishUnavailable
from tannoy.sdk.errors import PublisherClosed, PublisherNotOpen, WrongEventLoop

from tests.support.cluster import Cluster
from tests.support.node import STEADY
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=1, times=STEADY) as running:
        yield running


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.valkey.url


# ---- threads


async def test_a_publisher_has_the_results_of_an_asynchronous_one(cluster: Cluster, url: str) -> None:
    room = await cluster.nodes[0].connect("/ws/chat/results?user_id=ada")
    session = await cluster.nodes[0].connect("/ws/agents/results?user_id=ada")

    def publish() -> list[object]:
        with Publisher(url, timeout=PATIENCE) as publisher:
            return [
                publisher.to_room("results", 1),
                publisher.to_agent("results", 1, user_id="bob", key="k", exclude_session="s1"),
                publisher.to_session("results", session.session_id, 1),
                publisher.to_user("ada", 1, username="A back end"),
                publisher.many([{"room": "results", "content": 2}]),
            ]

    in_room, to_agent, to_session, to_user, many = await asyncio.to_thread(publish)
    assert isinstance(in_room, Position)
    assert isinstance(to_agent, Position)
    assert (to_session, to_user, many) == (1, 2, [in_room._replace(offset=2)])
    assert await room.contents(2) == [1, 2]


async def test_threads_share_a_publisher(url: str) -> None:
    def publish(publisher: Publisher) -> list[int]:
        positions = [publisher.to_room("threads", n) for n in range(25)]
        return [position.offset for position in positions if position is not None]

    def publish_in_threads() -> list[int]:
        with Publisher(url, timeout=PATIENCE) as publisher, ThreadPoolExecutor(4) as threads:
            return [offset for offsets in threads.map(publish, [publisher] * 4) for offset in offsets]

    assert sorted(await asyncio.to_thread(publish_in_threads)) == list(range(1, 101))


async def test_what_one_thread_publishes_while_another_one_closes_fails(cluster: Cluster, url: str) -> None:
    publisher = await asyncio.to_thread(Publisher(url, timeout=PATIENCE).open)
    cluster.valkey.freeze()
    publishing = asyncio.create_task(asyncio.to_thread(publisher.to_room, "closed", 1))
    try:
        await asyncio.to_thread(publisher.close)
    finally:
        cluster.valkey.thaw()
    with pytest.raises(PublisherClosed):
        await publishing


# ---- misuse


def test_a_publisher_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(PublisherNotOpen, match=r"use it in `with Publisher\(…\) as publisher`, or call open\(\)"):
        Publisher("redis://localhost").to_room("lobby", 1)


async def test_an_asynchronous_publisher_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(PublisherNotOpen, match=r"use it in `async with AsyncPublisher\(…\) as publisher`"):
        await AsyncPublisher("redis://localhost").to_room("lobby", 1)


async def test_a_closed_publisher_says_so_until_it_is_opened_again(url: str) -> None:
    async with AsyncPublisher(url, timeout=PATIENCE) as publisher:
        pass
    with pytest.raises(PublisherClosed, match=r"this publisher is closed: open\(\) opens it again"):
        await publisher.to_room("again", 1)
    await publisher.open()
    await publisher.to_room("again", 2)
    await publisher.close()


def test_a_publisher_that_could_not_be_opened_can_be_opened_later() -> None:
    publisher = Publisher(f"redis://127.0.0.1:{free_port()}")
    for _ in range(2):
        with pytest.raises(PublishUnavailable):
            publisher.open()


async def test_a_publisher_of_another_event_loop_says_what_to_use(url: str) -> None:
    async with AsyncPublisher(url, timeout=PATIENCE) as publisher:
        with pytest.raises(WrongEventLoop, match="open one in each loop, or use a Publisher"):
            await asyncio.to_thread(asyncio.run, publisher.to_room("lobby", 1))
        with pytest.raises(WrongEventLoop):
            await asyncio.to_thread(asyncio.run, publisher.open())


async def test_a_publisher_is_not_closed_from_another_event_loop(url: str) -> None:
    async with AsyncPublisher(url, timeout=PATIENCE) as publisher:
        with pytest.raises(WrongEventLoop):
            await asyncio.to_thread(asyncio.run, publisher.close())
        await publisher.to_room("still-open", 1)


async def connections(cluster: Cluster) -> int:
    clients: dict[str, int] = await cluster.valkey.run("INFO", "clients")
    return clients["connected_clients"]


async def test_tasks_that_open_a_publisher_at_once_open_it_once(cluster: Cluster, url: str) -> None:
    publisher = AsyncPublisher(url, timeout=PATIENCE)
    before = await connections(cluster)
    await asyncio.gather(*(publisher.open() for _ in range(5)))
    assert await connections(cluster) == before + 1
    await publisher.close()


async def test_a_publisher_whose_event_loop_has_ended_can_be_opened_in_the_next_one(url: str) -> None:
    publisher = AsyncPublisher(url, timeout=PATIENCE)

    async def publish() -> Position | None:
        return await (await publisher.open()).to_room("next-loop", 1)

    def publish_in_two_loops() -> list[Position | None]:
        return [asyncio.run(publish()) for _ in range(2)]

    first, second = await asyncio.to_thread(publish_in_two_loops)
    assert first is not None
    assert second == first._replace(offset=2)


# ---- processes

FORKING = """
import multiprocessing, sys
from tannoy import Publisher, PublisherMisused

def use(publisher):
    try:
        publisher.to_room("forked", "in the child")
    except PublisherMisused as error:
        print(type(error).__name__, error, flush=True)

def open_and_use(publisher):
    print(publisher.open().to_room("forked", "in the child").offset, flush=True)

with Publisher(sys.argv[1], timeout=60) as publisher:
    for work in use, open_and_use:
        worker = multiprocessing.get_context("fork").Process(target=work, args=(publisher,))
        worker.start()
        worker.join()
        print("ended with", worker.exitcode, flush=True)
    print(publisher.to_room("forked", "in the parent").offset)
"""

FORKING_IN_A_LOOP = """
import asyncio, os, sys
from tannoy import AsyncPublisher, PublisherMisused

async def main():
    async with AsyncPublisher(sys.argv[1], timeout=60) as publisher:
        if os.fork() == 0:
            try:
                await publisher.to_room("forked", 1)
            except PublisherMisused as error:
                print(type(error).__name__, flush=True)
            os._exit(0)
        os.wait()
        print((await publisher.to_room("forked-in-a-loop", "in the parent")).offset)

asyncio.run(main())
"""


async def run_script(source: str, url: str) -> list[str]:
    """The lines that a script prints. It has to end well, without a warning."""
    arguments = ("-W", "error", "-c", source, url)
    script = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE, stderr=PIPE)
    output, errors = await script.communicate()
    assert (errors.decode(), script.returncode) == ("", 0)
    return output.decode().splitlines()


async def test_a_forked_process_is_told_to_open_the_publisher_again_and_can(url: str) -> None:
    told, first_end, of_child, second_end, of_parent = await run_script(FORKING, url)
    assert re.fullmatch(
        r"PublisherForked this Publisher was opened in process \d+, before this one was forked: call open\(\) in this "
        r"one, for instance when a worker starts",
        told,
    )
    assert (first_end, second_end) == ("ended with 0", "ended with 0")
    assert int(of_parent) == int(of_child) + 1


async def test_an_asynchronous_publisher_says_that_it_was_opened_before_the_fork(url: str) -> None:
    assert await run_script(FORKING_IN_A_LOOP, url) == ["PublisherForked", "1"]
