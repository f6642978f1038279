"""Nodes without a secret, and somebody else on their Redis, who forges offsets or writes to head and log of a room.

What has been published is heard by every session, or a `resync` says that it may be missing; the room goes on.
"""

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
from tannoy.shared.channels import Channel
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.client import Client, Frame
from tests.support.cluster import Cluster
from tests.support.history_room import envelope_of
from tests.support.node import STEADY
from tests.support.waiting import eventually

KEYSPACE = Keyspace("tannoy")
NEW_EPOCHS = "new epochs begin"
DROPPED = "dropped a delivery"
WORDS_OF_REDIS = ("WRONGTYPE", "ERR", "script", "XADD", "tannoy:", "Operation")
_rooms = itertools.count(1)


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2, times=STEADY) as running:
        yield running


class ForgedRoom:
    """A room with a session on each node, in which a few messages have been published."""

    def __init__(self, cluster: Cluster) -> None:
        self.name = f"forged-{next(_rooms)}"
        self.channel: Channel = KEYSPACE.room(RoomName(self.name))
        self.keys = KEYSPACE.history(self.channel)
        self.nodes = cluster.nodes
        self._cluster = cluster
        self.members: list[Client] = []

    async def open(self) -> None:
        for node in self.nodes:
            self.members.append(await node.connect(f"/ws/chat/{self.name}"))
        for number in range(3):
            await self.members[0].ok("message", content=f"before {number}")
        for member in self.members:
            await member.contents(3)

    async def join(self) -> Client:
        return await self.nodes[0].connect(f"/ws/chat/{self.name}")

    async def run(self, *words: str | bytes) -> None:
        await self._cluster.valkey.run(*words)

    async def head(self) -> tuple[bytes, int]:
        epoch, _, offset = (await self._cluster.valkey.run("GET", self.keys.head)).partition(b" ")
        return epoch, int(offset)

    async def forge(self, offset: int, epoch: bytes | None = None) -> None:
        """Publish a message as publish.lua would, at this offset."""
        own, _ = await self.head()
        author = {"user_id": "eve", "username": "eve", "session_id": None, "timestamp": "2026-11-30T00:00:00.000Z"}
        envelope = envelope_of("forged", room=self.name, **author)
        await self.run("PUBLISH", self.channel.address, b"\3%b %d %b" % (epoch or own, offset, envelope))

    async def goes_on(self) -> bool:
        """Whether a message that is published now is heard by every session."""
        answer = await self.members[0].call("message", content="again")
        if answer["type"] == "error":
            assert not [word for word in WORDS_OF_REDIS if word in answer["message"]], answer
            return False
        frames = [await member.received_since() for member in self.members]
        return all(has_heard("again", each) for each in frames)

    async def all_have_logged(self, text: str) -> bool:
        return all([await node.has_logged(text) for node in self.nodes])


@pytest.fixture
async def room(cluster: Cluster) -> ForgedRoom:
    opened = ForgedRoom(cluster)
    await opened.open()
    return opened


def has_heard(content: str, frames: list[Frame]) -> bool:
    return any(frame["type"] == "message" and frame["content"] == content for frame in frames)


def is_told(position: Frame) -> Callable[[Frame], bool]:
    """Whether a frame is the message at this position, or says that messages up to it may be missing.

    A new epoch goes on counting where the former one ended.
    """
    return lambda frame: (
        frame["type"] in ("message", "resync")
        and frame.get("content") != "forged"
        and frame.get("offset", 0) >= position["offset"]
    )


async def one_ahead(room: ForgedRoom) -> None:
    await room.forge((await room.head())[1] + 1)


async def far_ahead(room: ForgedRoom) -> None:
    await room.forge(1_000_000)


async def as_far_as_can_be(room: ForgedRoom) -> None:
    await room.forge(2**53)


async def another_epoch(room: ForgedRoom) -> None:
    await room.forge(1, b"forged-epoch")


async def one_behind(room: ForgedRoom) -> None:
    await room.forge((await room.head())[1])


FORGERIES: dict[str, Callable[[ForgedRoom], Awaitable[None]]] = {
    each.__name__: each for each in (one_ahead, far_ahead, as_far_as_can_be, another_epoch, one_behind)
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_what_follows_a_forged_offset_is_heard_or_a_resync_comes(forgery: str, room: ForgedRoom) -> None:
    await FORGERIES[forgery](room)
    position = await room.members[0].ok("message", content="next")

    for member in room.members:
        await member.find(is_told(position), "the next message, or a resync that covers it")
    await eventually(room.goes_on, what="the room goes on")
    page = await room.members[1].ok("history")
    assert {"before 2", "next", "again"} <= {message["content"] for message in page["messages"]}


@pytest.mark.parametrize("forgery", ["one_ahead", "far_ahead"])
async def test_a_forged_offset_ahead_of_the_head_ends_the_epoch_with_an_alarm(forgery: str, room: ForgedRoom) -> None:
    """Also where nothing is published any more, and for a session that has come since."""
    before = (await room.head())[0].decode()
    await FORGERIES[forgery](room)
    late = await room.join()

    for member in room.members:
        await member.find(lambda frame: frame["type"] == "resync" and frame["epoch"] != before, "the new epoch")
    if late.welcome["epoch"] == before:
        await late.find(lambda frame: frame["type"] == "resync" and frame["epoch"] != before, "the new epoch")
    assert (await room.head())[0].decode() != before
    assert any([await node.has_logged(NEW_EPOCHS) for node in room.nodes])


@pytest.mark.parametrize("offset", [2**53 + 1, 10**30, 0, -1])
async def test_an_offset_that_redis_never_assigns_is_dropped_and_changes_nothing(offset: int, room: ForgedRoom) -> None:
    await room.forge(offset)
    await room.members[0].ok("message", content="next")

    for member in room.members:
        assert [frame.get("content") for frame in await member.received_since()] == ["next"]
    assert await room.all_have_logged(DROPPED)


# ---- head and log that contradict each other


def set_back(room: ForgedRoom, epoch: bytes) -> list[tuple[str | bytes, ...]]:
    return [("SET", room.keys.head, epoch + b" 0")]


def log_ahead(room: ForgedRoom, epoch: bytes) -> list[tuple[str | bytes, ...]]:
    return [("XADD", room.keys.log, "500-0", "m", envelope_of("forged"))]


def head_ahead(room: ForgedRoom, epoch: bytes) -> list[tuple[str | bytes, ...]]:
    return [("SET", room.keys.head, epoch + b" 1000000")]


def head_of_no_form(room: ForgedRoom, epoch: bytes) -> list[tuple[str | bytes, ...]]:
    return [("SET", room.keys.head, b"\xff")]


def _replaced(verb: str, key: bytes) -> tuple[str | bytes, ...]:
    """In one step: a node may write the key again as soon as it is missing."""
    return ("EVAL", "redis.call('DEL', KEYS[1]) redis.call(ARGV[1], KEYS[1], 'x')", "1", key, verb)


def head_of_another_type(room: ForgedRoom, epoch: bytes) -> list[tuple[str | bytes, ...]]:
    return [_replaced("SADD", room.keys.head)]


def log_of_another_type(room: ForgedRoom, epoch: bytes) -> list[tuple[str | bytes, ...]]:
    return [_replaced("SET", room.keys.log)]


def both_gone(room: ForgedRoom, epoch: bytes) -> list[tuple[str | bytes, ...]]:
    return [("DEL", room.keys.head, room.keys.log)]


CONTRADICTIONS = {
    each.__name__: each
    for each in (
        *(set_back, log_ahead, head_ahead, head_of_no_form),
        *(head_of_another_type, log_of_another_type, both_gone),
    )
}


@pytest.mark.parametrize("contradiction", CONTRADICTIONS)
async def test_a_room_whose_head_and_log_contradict_each_other_goes_on(contradiction: str, room: ForgedRoom) -> None:
    epoch, _ = await room.head()
    for command in CONTRADICTIONS[contradiction](room, epoch):
        await room.run(*command)

    await eventually(room.goes_on, what="the room goes on")

    late = await room.members[1].ok("history")
    assert late["messages"][-1]["content"] == "again"
    assert not any(message["content"] == "forged" for message in late["messages"])


@pytest.mark.parametrize("offset", [2**53, 10**30])
async def test_a_head_beyond_all_offsets_begins_an_epoch_where_nobody_publishes(offset: int, room: ForgedRoom) -> None:
    epoch, _ = await room.head()
    await room.run("SET", room.keys.head, b"%b %d" % (epoch, offset))

    for member in room.members:
        assert (await member.expect("resync"))["epoch"] != epoch.decode()
    assert all(node.is_alive for node in room.nodes)
