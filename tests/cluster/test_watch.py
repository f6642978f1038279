"""`tannoy watch` and `tannoy publish` while nodes and Redis fail: real processes, and what they print."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from tests.support import processes
from tests.support.cluster import Cluster, NodeProcess, environment
from tests.support.node import PRODUCT
from tests.support.waiting import PATIENCE, eventually

COMMAND = (sys.executable, "-m", "tannoy")


class Process:
    """A running command. `out` and `err` hold the lines that it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []

    async def listen(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        await asyncio.gather(_collect(self.process.stdout, self.out), _collect(self.process.stderr, self.err))

    async def reports(self, text: str) -> str:
        """The first line of standard error that holds this, as soon as there is one."""

        async def is_reported() -> bool:
            return any(text in line for line in self.err)

        try:
            await eventually(is_reported, what=f"it reports {text!r}")
        except AssertionError as error:
            error.add_note("\n".join(self.err))
            raise
        return next(line for line in self.err if text in line)

    async def prints(self, *contents: str) -> None:
        """These messages, in this order, and nothing else, by the time that the last one has come."""

        async def has_come() -> bool:
            return self.out != [] and self.out[-1].endswith(f": {contents[-1]}")

        try:
            await eventually(has_come, what=f"it prints {contents[-1]!r}")
        except AssertionError as error:
            error.add_note("\n".join(self.out + self.err))
            raise
        assert [line.partition(": ")[2] for line in self.out] == list(contents)

    async def ends(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


async def _collect(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stream.readline():
        lines.append(line.decode().rstrip("\n"))


@asynccontextmanager
async def running(*words: str) -> AsyncGenerator[Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *words,
        env=environment({}) | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200", "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    it = Process(process)
    listening = asyncio.create_task(it.listen())
    try:
        yield it
    finally:
        processes.signal_group(process.pid, signal.SIGKILL)
        await process.wait()
        await listening


@asynccontextmanager
async def watching(node: NodeProcess, target: str, *options: str) -> AsyncGenerator[Process]:
    """A watch that has joined: from now on it may miss no message."""
    async with running("watch", target, "--url", node.url, *options) as watch:
        await watch.reports(f"watching {target} on {node.name}")
        yield watch


async def publish(node: NodeProcess, channel: str, *contents: str) -> None:
    """`channel` is `rooms/lobby` or `agents/42`."""
    for content in contents:
        answer = await node.http.post(f"/api/v1/{channel}/messages", json={"content": content})
        answer.raise_for_status()


async def history(node: NodeProcess, channel: str) -> list[Any]:
    page = (await node.http.get(f"/api/v1/{channel}/messages")).raise_for_status().json()
    return [message["content"] for message in page["messages"]]


def numbers(first: int, last: int) -> list[str]:
    return [f"number {number}" for number in range(first, last + 1)]


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2) as it:
        yield it


@pytest.fixture
async def small() -> AsyncGenerator[Cluster]:
    """A cluster that keeps five messages of a channel, and in which the test may kill nodes."""
    async with Cluster(nodes=2, HISTORY_SIZE="5") as it:
        yield it


# ---- watch reconnects


@pytest.mark.parametrize(("target", "channel"), [("room:killed", "rooms/killed"), ("agent:killed", "agents/killed")])
async def test_a_watch_outlives_its_node_and_shows_each_message_once(target: str, channel: str) -> None:
    async with Cluster(nodes=2) as cluster, watching(cluster.nodes[0], target) as watch:
        await publish(cluster.nodes[1], channel, *numbers(1, 10))
        saying = asyncio.create_task(publish(cluster.nodes[1], channel, *numbers(11, 40)))
        await cluster.nodes[0].kill()
        await saying
        await watch.reports("connection lost (1006 no close frame), reconnecting in")
        await cluster.nodes[0].start()
        assert "reconnected to n1: 0 messages" not in await watch.reports("published meanwhile")
        await publish(cluster.nodes[1], channel, "the last one")
        await watch.prints(*numbers(1, 40), "the last one")
        assert not any("missing" in line for line in watch.err)


async def test_a_watch_of_a_room_is_not_listed_there(cluster: Cluster) -> None:
    async with watching(cluster.nodes[0], "room:observed"):
        client = await cluster.nodes[1].connect("/ws/chat/observed?user_id=ada")
        assert [user["user_id"] for user in client.welcome["users"]] == ["ada"]


async def test_a_watch_names_what_is_no_longer_kept(small: Cluster) -> None:
    first, second = small.nodes
    async with watching(first, "room:trimmed") as watch:
        await publish(second, "rooms/trimmed", "before")
        await watch.prints("before")
        await first.kill()
        await publish(second, "rooms/trimmed", *numbers(2, 20))
        await first.start()
        await watch.prints("before", *numbers(16, 20))
        assert "offsets 2 to 15 of epoch" in await watch.reports("messages may be missing")


async def test_a_watch_goes_on_after_redis_has_lost_its_data(cluster: Cluster) -> None:
    async with watching(cluster.nodes[0], "room:lost") as watch:
        await publish(cluster.nodes[1], "rooms/lost", "before")
        await watch.prints("before")
        await cluster.valkey.run("FLUSHALL")
        await publish(cluster.nodes[1], "rooms/lost", "after")
        await watch.prints("before", "after")
        line = await watch.reports("messages may be missing")
        assert "all after offset 1 of epoch" in line
        assert "all before offset 1 of epoch" in line


async def test_a_watch_without_history_warns_that_messages_may_be_missing() -> None:
    async with Cluster(nodes=1, HISTORY_SIZE="0") as cluster, watching(cluster.nodes[0], "room:off") as watch:
        await publish(cluster.nodes[0], "rooms/off", "before")
        await watch.prints("before")
        await cluster.nodes[0].kill()
        await cluster.nodes[0].start()
        await watch.reports("this cluster keeps no history")
        await publish(cluster.nodes[0], "rooms/off", "after")
        await watch.prints("before", "after")


# ---- watch starts


@pytest.mark.parametrize(
    ("room", "options", "first"),
    [
        ("now", (), 11),
        ("a-few", ("--history", "3"), 8),
        ("many", ("--history", "99"), 1),
        ("offset", ("--since", "7"), 8),
        ("all", ("--since", "0"), 1),
    ],
)
async def test_a_watch_starts_where_its_options_say(
    cluster: Cluster, room: str, options: tuple[str, ...], first: int
) -> None:
    await publish(cluster.nodes[0], f"rooms/{room}", *numbers(1, 10))
    async with watching(cluster.nodes[1], f"room:{room}", *options) as watch:
        await publish(cluster.nodes[0], f"rooms/{room}", "number 11")
        await watch.prints(*numbers(first, 11))
        assert not any("missing" in line for line in watch.err)


async def test_a_watch_names_the_offsets_that_are_not_kept_at_its_beginning(small: Cluster) -> None:
    await publish(small.nodes[0], "rooms/short", *numbers(1, 10))
    async with watching(small.nodes[1], "room:short", "--since", "2") as watch:
        await watch.prints(*numbers(6, 10))
        await watch.reports("messages may be missing: offsets 3 to 5 of epoch")


async def test_a_watch_from_an_offset_in_the_future_warns_and_goes_on(cluster: Cluster) -> None:
    async with watching(cluster.nodes[0], "room:early", "--since", "7") as watch:
        await watch.reports("offset 7 is not reached yet: epoch")
        await publish(cluster.nodes[1], "rooms/early", "the first one")
        await watch.prints("the first one")


# ---- watch ends


async def test_a_watch_without_reconnect_ends_with_its_connection() -> None:
    async with (
        Cluster(nodes=1) as cluster,
        watching(cluster.nodes[0], "room:ends", "--no-reconnect") as watch,
    ):
        await cluster.nodes[0].kill()
        assert await watch.ends() == 1
        await watch.reports("tannoy: connection lost: 1006")


async def test_a_watch_closed_by_an_operator_does_not_reconnect(cluster: Cluster) -> None:
    async with watching(cluster.nodes[0], "agent:ended") as watch:
        await cluster.nodes[1].http.delete("/api/v1/agents/ended/sessions")
        assert await watch.ends() == 1
        await watch.reports("for good: 4504 disconnected by an operator")


# ---- publish


async def test_publish_prints_the_position_of_its_message(cluster: Cluster) -> None:
    url = ("--url", cluster.nodes[0].url)
    for command, target in (("publish", "room:placed"), ("publish", "agent:placed"), ("send", "agent:placed")):
        async with running(command, target, "hello", *url) as process:
            assert await process.ends() == 0
        position = json.loads(process.out[0])
        assert (position["offset"], set(position)) == (1 if command == "publish" else 2, {"epoch", "offset"})


async def test_a_repeated_key_is_published_once(cluster: Cluster) -> None:
    words = ("publish", "room:keyed", "hello", "--key", "only-once", "--url", cluster.nodes[0].url)
    async with running(*words) as first:
        await first.ends()
    async with running(*words) as second:
        await second.ends()
    assert first.out == second.out
    assert await history(cluster.nodes[0], "rooms/keyed") == ["hello"]


async def test_an_unconfirmed_publish_is_repeated() -> None:
    async with Cluster(nodes=1, times=PRODUCT) as cluster:
        cluster.valkey.freeze()
        async with running("publish", "room:frozen", "hello", "--url", cluster.nodes[0].url) as process:
            await process.reports("did not confirm the request: unavailable")
            cluster.valkey.thaw()
            assert await process.ends() == 0
        assert cast("int", json.loads(process.out[0])["offset"]) == 1
        assert await history(cluster.nodes[0], "rooms/frozen") == ["hello"]


async def test_publish_gives_up_and_prints_how_to_repeat_it() -> None:
    async with Cluster(nodes=1, times=PRODUCT) as cluster:
        cluster.valkey.kill()
        words = ("publish", "room:gone", "hello", "--key", "my-own", "--url", cluster.nodes[0].url)
        async with running(*words) as process:
            assert await process.ends() == 1
        assert "--key my-own" in process.err[-1]
        assert process.out == []


async def test_an_interrupted_watch_exits_with_0(cluster: Cluster) -> None:
    async with watching(cluster.nodes[0], "room:interrupted") as watch:
        watch.process.send_signal(signal.SIGINT)
        assert await watch.ends() == 0
