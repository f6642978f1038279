"""What a back end publishes with the SDK, through Redis and over HTTP: two nodes deliver it as what they publish."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import cast

import pytest
from tannoy import (
    AsyncPublisher,
    InvalidName,
    ManyFailed,
    MessageFields,
    MessageTooLarge,
    Position,
    PublishError,
    PublishRefused,
)

from tests.support.cluster import Cluster
from tests.support.node import STEADY
from tests.support.waiting import PATIENCE

API_KEY = "k-e-y"


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2, times=STEADY, API_KEY=API_KEY) as running:
        yield running


@pytest.fixture(params=["redis", "http"])
async def publisher(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncGenerator[AsyncPublisher]:
    if request.param == "redis":
        publisher = AsyncPublisher(cluster.valkey.url, timeout=PATIENCE)
    else:
        publisher = AsyncPublisher(cluster.nodes[0].url, api_key=API_KEY, timeout=PATIENCE)
    async with publisher:
        yield publisher


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """A room that no other test uses."""
    return re.sub(r"[^a-z0-9]", "-", _name_of(request))


def _name_of(request: pytest.FixtureRequest) -> str:
    test = cast("pytest.Item", request.node)  # pyright: ignore[reportUnknownMemberType]
    return test.name


async def test_a_message_is_heard_on_every_node_as_one_that_a_node_has_published(
    cluster: Cluster, publisher: AsyncPublisher, room: str
) -> None:
    listeners = [await node.connect(f"/ws/chat/{room}") for node in cluster.nodes]
    position = await publisher.to_room(room, {"deep": [1, "é", None]}, user_id="ada", username="Ada")
    heard = [await listener.expect("message") for listener in listeners]
    by_node = (
        await cluster.nodes[0].http.post(
            f"/api/v1/rooms/{room}/messages",
            json={"content": {"deep": [1, "é", None]}, "user_id": "ada", "username": "Ada"},
            headers={"Authorization": f"Bearer {API_KEY}"},
        )
    ).json()
    of_node = await listeners[0].expect("message")
    assert position is not None
    assert heard[0] == heard[1] == of_node | {"offset": position.offset, "timestamp": heard[0]["timestamp"]}
    assert (by_node["epoch"], by_node["offset"]) == (position.epoch, position.offset + 1)


async def test_a_message_to_an_agent_reaches_its_sessions_but_the_excluded_one(
    cluster: Cluster, publisher: AsyncPublisher, room: str
) -> None:
    first, second = [await node.connect(f"/ws/agents/{room}?user_id=u{node.name}") for node in cluster.nodes]
    await publisher.to_agent(room, "not for the first", exclude_session=first.session_id)
    await publisher.to_agent(room, "for both")
    assert await second.contents(2) == ["not for the first", "for both"]
    assert await first.contents(1) == ["for both"]


async def test_a_key_publishes_once_for_each_author(cluster: Cluster, publisher: AsyncPublisher, room: str) -> None:
    listener = await cluster.nodes[0].connect(f"/ws/chat/{room}?user_id=listener")
    positions = [await publisher.to_room(room, n, user_id=who, key="k") for n, who in enumerate(["ada", "ada", "bob"])]
    assert positions[0] == positions[1] != positions[2]
    assert [frame["content"] for frame in await listener.received_since()] == [0, 2]


async def test_one_session_of_an_agent_is_reached_on_whichever_node(
    cluster: Cluster, publisher: AsyncPublisher, room: str
) -> None:
    first, second = [await node.connect(f"/ws/agents/{room}?user_id=u{node.name}") for node in cluster.nodes]
    assert await publisher.to_session(room, second.session_id, "for you", user_id="ada") == 1
    assert await publisher.to_session(room, "nobody", "for you") == 0
    heard = await second.expect("message")
    assert (heard["content"], heard["username"], "offset" in heard) == ("for you", "ada", False)
    assert await first.received_since() == []


async def test_all_sessions_of_a_user_are_reached_and_counted(
    cluster: Cluster, publisher: AsyncPublisher, room: str
) -> None:
    sessions = [await node.connect(f"/ws?user_id={room}") for node in (*cluster.nodes, cluster.nodes[0])]
    assert await publisher.to_user(room, {"n": 1}, user_id="ada", username="Ada") == 3
    assert await publisher.to_user("nobody", 1) == 0
    heard = [await session.expect("private") for session in sessions]
    assert [(frame["from_user_id"], frame["from_username"], frame["content"]) for frame in heard] == [
        ("ada", "Ada", {"n": 1})
    ] * 3


async def test_many_are_published_in_order_with_a_position_each(
    cluster: Cluster, publisher: AsyncPublisher, room: str
) -> None:
    listener = await cluster.nodes[1].connect(f"/ws/chat/{room}")
    messages: list[MessageFields] = [{"room": room, "content": n} for n in range(1500)]
    positions = await publisher.many([*messages, {"agent_id": room, "content": "to an agent"}])
    assert await listener.contents(1500) == list(range(1500))
    offsets = [position.offset for position in positions[:-1] if position is not None]
    assert offsets == list(range(1, 1501))
    assert isinstance(positions[-1], Position)


async def test_of_many_those_that_are_not_refused_are_published(
    cluster: Cluster, publisher: AsyncPublisher, room: str
) -> None:
    listener = await cluster.nodes[0].connect(f"/ws/chat/{room}")
    bad: list[object] = [{"room": "a b", "content": 1}, {"room": room}, {"content": 1}, {"room": room, "x": 1}]
    messages = [{"room": room, "content": 1}, *bad, {"room": room, "content": {2}}, {"room": room, "content": 3}]
    with pytest.raises(ManyFailed, match=r"^5 of 7 messages failed; the first one: room 'a b'") as failed:
        await publisher.many(messages)  # type: ignore[arg-type]
    assert [isinstance(result, PublishError) for result in failed.value.results] == [False, *[True] * 5, False]
    assert await listener.contents(2) == [1, 3]


async def test_calls_of_one_turn_are_published_in_their_order(
    cluster: Cluster, publisher: AsyncPublisher, room: str, request: pytest.FixtureRequest
) -> None:
    listener = await cluster.nodes[0].connect(f"/ws/chat/{room}")
    positions = await asyncio.gather(*(publisher.to_room(room, n) for n in range(200)))
    assert len({position.offset for position in positions if position}) == 200
    heard = await listener.contents(200)
    assert sorted(heard) == list(range(200))
    if "redis" in _name_of(request):  # over HTTP they come over several connections
        assert heard == list(range(200))


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        pytest.param(float("nan"), PublishRefused, "finite", id="NaN"),
        pytest.param({"deep": [None, float("inf")]}, PublishRefused, "finite", id="infinity beside null"),
        pytest.param((1, 2), PublishRefused, "not tuple", id="a tuple"),
        pytest.param({1: 2}, PublishRefused, "keys", id="a key that is a number"),
        pytest.param(2**64, PublishRefused, "integers", id="a large integer"),
        pytest.param("\ud800", PublishRefused, "surrogates", id="half of a character"),
        pytest.param([[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]], PublishRefused, "deeper than 16", id="nested"),
        pytest.param([0] * 16_385, PublishRefused, "more than 16384 values", id="too many values"),
        pytest.param("x" * 65_536, MessageTooLarge, "65536", id="too large"),
    ],
)
async def test_a_content_that_cannot_be_published_is_refused(
    publisher: AsyncPublisher, room: str, content: object, error: type[PublishRefused], says: str
) -> None:
    with pytest.raises(error, match=says):
        await publisher.to_room(room, content)


async def test_bad_names_are_refused_with_what_is_allowed(publisher: AsyncPublisher) -> None:
    with pytest.raises(InvalidName, match=r"^room 'a b' must not contain ' ': allowed are A-Z"):
        await publisher.to_room("a b", 1)
    with pytest.raises(InvalidName, match=r"^agent_id"):
        await publisher.to_agent("", 1)
    with pytest.raises(InvalidName, match=r"^session_id"):
        await publisher.to_session("42", "a/b", 1)
    with pytest.raises(InvalidName, match=r"^user_id"):
        await publisher.to_user("a\nb", 1)
    with pytest.raises(InvalidName, match=r"^username"):
        await publisher.to_room("lobby", 1, username="\x1b")
    with pytest.raises(InvalidName, match=r"^session_id"):
        await publisher.to_room("lobby", 1, exclude_session="a b")
    with pytest.raises(PublishRefused, match=r"^key has to be a string of 1 to 256 characters"):
        await publisher.to_room("lobby", 1, key="")
