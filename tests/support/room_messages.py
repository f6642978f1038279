"""Messages of rooms on real nodes: published in one request, received, and compared by offset and content."""

from collections.abc import Callable
from typing import Any

from tests.support.client import Client, Frame
from tests.support.cluster import NodeProcess


async def publish_batch(node: NodeProcess, room: str, *contents: object, **fields: object) -> list[Frame]:
    """Publish all of these in one request, in order; return the position of each, or the problem."""
    messages = [{"room": room, "content": content, **fields} for content in contents]
    answer = await node.http.post("/api/v1/messages", json={"messages": messages})
    results: list[Frame] = answer.json()["results"]
    return results


async def publishes(client: Client) -> bool:
    """Whether a message that the client publishes now is confirmed."""
    answer = await client.call("message", content="again")
    return bool(answer["type"] == "ok")


async def receive_messages(client: Client, count: int) -> list[Frame]:
    return [await client.expect("message") for _ in range(count)]


async def receive_until(client: Client, is_last: Callable[[Frame], bool]) -> list[Frame]:
    """Messages and resyncs, in the order in which they come, up to and with the last one."""
    frames: list[Frame] = []
    while not frames or not is_last(frames[-1]):
        frames.append(await client.find(lambda frame: frame["type"] in ("message", "resync"), "a message"))
    return frames


def has_content(content: object) -> Callable[[Frame], bool]:
    return lambda frame: frame.get("content") == content


def offsets_and_contents(frames: list[Frame]) -> list[tuple[int, Any]]:
    """All frames have to be messages."""
    assert {frame["type"] for frame in frames} <= {"message"}, [f for f in frames if f["type"] != "message"]
    return [(frame["offset"], frame["content"]) for frame in frames]
