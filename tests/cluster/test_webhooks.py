"""Events of the HTTP hooks: real nodes, and a real target that hangs, refuses, and is killed."""

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from tannoy.fanout.startup import skip_recovery

from tests.support.client import Client
from tests.support.cluster import PROJECT, NodeProcess, Transport, environment
from tests.support.hook_receiver import SECRET, SETTINGS, Answer, HookReceiver, HookReceiverProcess, Request, events_of
from tests.support.node import HASTY
from tests.support.ports import free_port
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually


class Hooked:
    """Two nodes that tell one target."""

    def __init__(self, url: str, receiver: HookReceiver) -> None:
        self.receiver = receiver
        settings = {
            **SETTINGS,
            "REDIS_URL": url,
            "HOOK_URL": receiver.url,
            "HOOK_MESSAGES": "room:told.*,agent:told",
            "HOOK_TIMEOUT": "2",
            "PRESENCE_GRACE": "0",
            "PING_INTERVAL": "3600",
        }
        self.nodes = [NodeProcess(name, Transport.FAST, settings, times=HASTY) for name in ("n1", "n2")]

    async def until_told(self, room: str, *types: str) -> list[dict[str, Any]]:
        """Returns the events of a room when these have come, in order, and no others."""

        async def has_come() -> bool:
            return len(self.of(room)) >= len(types)

        await eventually(has_come, what=f"{types} of {room} are told")
        events = self.of(room)
        assert [event["type"] for event in events] == list(types)
        return events

    def of(self, room: str) -> list[dict[str, Any]]:
        return [event for event in self.receiver.events() if event.get("room") == room]


@pytest.fixture(scope="module")
def receiver() -> Generator[HookReceiver]:
    with HookReceiver().running() as receiver:
        yield receiver


@pytest.fixture(scope="module")
async def hooked(anyio_backend: str, receiver: HookReceiver) -> AsyncGenerator[Hooked]:
    async with Valkey() as valkey:
        await skip_recovery(valkey.address, "tannoy", PATIENCE)
        hooked = Hooked(valkey.url, receiver)
        try:
            for node in hooked.nodes:
                await node.start()
            yield hooked
        finally:
            for node in hooked.nodes:
                await node.close()


async def test_a_room_is_occupied_and_vacated_once_whichever_nodes_its_users_are_on(hooked: Hooked) -> None:
    first = await hooked.nodes[0].connect("/ws?user_id=ada")
    second = await hooked.nodes[1].connect("/ws?user_id=bob")
    await first.ok("join", room="both")
    await second.ok("join", room="both")
    both = ("room_occupied", "user_joined", "user_joined")
    await hooked.until_told("both", *both)
    await first.ok("leave", room="both")
    await hooked.until_told("both", *both, "user_left")
    await second.ok("leave", room="both")

    events = await hooked.until_told("both", *both, "user_left", "user_left", "room_vacated")
    assert [event.get("user_id") for event in events] == [None, "ada", "bob", "ada", "bob", None]
    assert [event.get("users_count") for event in events] == [None, 1, 2, 1, 0, None]


async def test_a_session_opens_and_closes_with_what_it_was_and_why(hooked: Hooked) -> None:
    client = await hooked.nodes[0].connect("/ws/chat/sessions?user_id=ada&username=Ada")
    await client.close()

    async def has_closed() -> bool:
        return any(event["room"] == "sessions" for event in hooked.receiver.events("session_closed") if "room" in event)

    await eventually(has_closed, what="the session has closed")
    opened, closed = (event for event in hooked.of("sessions") if event["type"].startswith("session"))
    assert (opened["type"], opened["user_id"], opened["username"]) == ("session_opened", "ada", "Ada")
    assert opened["node"] == closed["node"] == "n1"
    assert (closed["session_id"], closed["code"], closed["reason"]) == (
        opened["session_id"],
        1000,
        "closed by the client",
    )


async def test_a_message_of_a_room_that_matches_is_told_with_its_position_and_others_are_not(hooked: Hooked) -> None:
    client = await hooked.nodes[0].connect("/ws?user_id=ada")
    for room in ("told.1", "untold"):
        await client.ok("join", room=room)
    position = await client.ok("message", room="told.1", content={"hello": "told.1"})
    await client.ok("message", room="untold", content={"hello": "untold"})
    await client.close()

    async def is_told() -> bool:
        return any(event["type"] == "user_left" for event in hooked.of("untold"))

    await eventually(is_told, what="what came later is told")
    (message,) = hooked.receiver.events("message_published")
    assert (message["room"], message["user_id"], message["content"]) == ("told.1", "ada", {"hello": "told.1"})
    assert (message["epoch"], message["offset"]) == (position["epoch"], position["offset"])


async def test_every_request_is_signed(hooked: Hooked) -> None:
    assert hooked.receiver.requests
    assert all(request.is_signed for request in hooked.receiver.requests)


async def test_a_target_that_hangs_or_fails_costs_no_session_anything_and_gets_all_events_later(hooked: Hooked) -> None:
    is_back = threading.Event()
    statuses = iter([500, 503, 302])

    def fail(request: Request) -> Answer:
        if (status := next(statuses, None)) is not None:
            return Answer(status, headers={"Location": "http://127.0.0.1:1/"})
        is_back.wait(PATIENCE)
        return Answer()

    hooked.receiver.answer = fail
    try:
        client = await hooked.nodes[0].connect("/ws?user_id=ada")
        for number in range(20):
            await client.ok("join", room=f"hung-{number}")
            await client.ok("message", room=f"hung-{number}", content=number)
    finally:
        is_back.set()
        hooked.receiver.answer = lambda request: Answer()
    for number in range(20):
        await hooked.until_told(f"hung-{number}", "room_occupied", "user_joined")


async def test_an_event_that_the_target_refuses_is_a_dead_letter_alone_and_is_sent_again_on_demand(
    hooked: Hooked,
) -> None:
    hooked.receiver.answer = lambda request: Answer(422 if "poison" in request.body else 200)
    client = await hooked.nodes[1].connect("/ws?user_id=ada")
    for room in ("before", "poison", "behind"):
        await client.ok("join", room=room)
    api = hooked.nodes[0].http

    async def are_dead() -> bool:
        letters = (await api.get("/api/v1/hooks/dead-letters")).json()["dead_letters"]
        return len([letter for letter in letters if letter["event"].get("room") == "poison"]) == 2

    await eventually(are_dead, what="both events of the room are dead letters")
    await hooked.until_told("behind", "room_occupied", "user_joined")
    hooked.receiver.answer = lambda request: Answer()
    hooked.receiver.requests.clear()
    letters = (await api.get("/api/v1/hooks/dead-letters")).json()["dead_letters"]
    answer = await api.post("/api/v1/hooks/resend", json={"ids": [letter["id"] for letter in letters]})

    assert [letter["reason"] for letter in letters] == ["the answer is 422"] * len(letters)
    assert answer.json() == {"resent": len(letters)}
    await hooked.until_told("poison", *(letter["event"]["type"] for letter in letters))
    assert (await api.get("/api/v1/hooks/dead-letters")).json()["dead_letters"] == []


# ---- kills


class Killed:
    """Three nodes whose target is a process. `said`: room and offset of each message that a node has confirmed."""

    def __init__(self, url: str, folder: Path) -> None:
        self.receiver = HookReceiverProcess(folder)
        settings = {
            **SETTINGS,
            "REDIS_URL": url,
            "HOOK_URL": self.receiver.url,
            "HOOK_MESSAGES": "room:*",
            "PRESENCE_GRACE": "0",
            "PING_INTERVAL": "3600",
        }
        self.nodes = [NodeProcess(name, Transport.FAST, settings, times=HASTY) for name in ("n1", "n2", "n3")]
        self.said: set[tuple[str, int]] = set()
        self.sessions: set[str] = set()
        self.requests: list[Request] = []

    async def talk(self, room: str) -> None:
        """A session of each node says something, and meanwhile the target is killed, and starts again."""
        clients = [await node.connect(f"/ws/chat/{room}?user_id=u{at}") for at, node in enumerate(self.nodes)]
        self.sessions |= {client.welcome["session_id"] for client in clients}
        for number in range(50):
            sent = await clients[number % 3].ok("message", content=number)
            self.said.add((room, sent["offset"]))
            if number == 20:
                self.receiver.kill()
            if number == 40:
                self.receiver.start()

    def events(self, *types: str) -> list[dict[str, Any]]:
        """Until the nodes are closed, which is no part of the test."""
        return events_of(self.requests or self.receiver.requests(), *types)

    async def all_are_told(self) -> bool:
        messages = {(event["room"], event["offset"]) for event in self.events("message_published")}
        closed = self.events("session_closed")
        return self.said <= messages and len(closed) >= 6 and len(self.events("room_vacated")) >= 1

    async def close(self) -> None:
        self.requests = self.receiver.requests()
        for node in self.nodes:
            await node.close()
        self.receiver.close()


async def test_no_event_is_lost_when_nodes_and_the_target_are_killed(tmp_path: Path, anyio_backend: str) -> None:
    async with Valkey() as valkey:
        await skip_recovery(valkey.address, "tannoy", PATIENCE)
        killed = Killed(valkey.url, tmp_path)
        try:
            killed.receiver.start()
            await asyncio.gather(*(node.start() for node in killed.nodes))
            for room, node in zip(("r1", "r2", "r3"), killed.nodes, strict=True):
                await killed.talk(room)
                await node.kill()
                killed.receiver.kill()
                killed.receiver.start()
                await node.start()
            await eventually(killed.all_are_told, what="all messages, and the ends of the sessions of killed nodes")
        finally:
            await killed.close()

    messages = [(event["room"], event["offset"]) for event in killed.events("message_published")]
    assert sorted(messages) == sorted(killed.said), "a message has got another id, or a message that nobody sent"
    opened = [event["session_id"] for event in killed.events("session_opened")]
    assert sorted(opened) == sorted(killed.sessions)
    # One session of the first node, two of the second, which had one in the first room too, and three of the third.
    assert [event["reason"] for event in killed.events("session_closed")] == ["the node was lost"] * 6
    assert sorted(event["room"] for event in killed.events("room_occupied")) == ["r1", "r2", "r3"]
    assert [event["room"] for event in killed.events("room_vacated")] == ["r1"], "the others still have somebody"
    assert all(request.is_signed for request in killed.requests)


# ---- the example of docs/hooks.md


async def test_the_example_of_a_back_end_knows_who_listens_and_decides_who_may_join(anyio_backend: str) -> None:
    port = free_port()
    back_end = f"http://127.0.0.1:{port}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "webhook_receiver:app", "--port", str(port), "--log-level", "warning"),
        cwd=PROJECT / "docs/examples",
        env=environment({"HOOK_SECRET": SECRET}),
    )
    async with Valkey() as valkey, httpx.AsyncClient(base_url=back_end, timeout=PATIENCE) as http:
        await skip_recovery(valkey.address, "tannoy", PATIENCE)
        urls = {"HOOK_URL": f"{back_end}/events", "HOOK_AUTH_URL": f"{back_end}/questions", "AUTH": "hook"}
        settings = {**SETTINGS, **urls, "REDIS_URL": valkey.url, "PRESENCE_GRACE": "0"}
        node = NodeProcess("n1", Transport.FAST, settings, times=HASTY)

        async def are_occupied(*rooms: str) -> bool:
            try:
                return bool((await http.get("/occupied")).json() == list(rooms))
            except httpx.TransportError:
                return False

        try:
            await eventually(are_occupied, what="the example answers")
            await node.start()
            bob = await node.connect("/ws", additional_headers={"Cookie": "session=bob"})
            await bob.ok("join", room="lobby")
            refusal = await bob.call("join", room="staff")
            await eventually(partial(are_occupied, "lobby"), what="the example knows that somebody listens")
            stranger = await Client.open(node.ws_url + "/ws")
            stranger_code = await stranger.close_code()
            foreign_agent = await Client.open(
                node.ws_url + "/ws/agents/ada", additional_headers={"Cookie": "session=bob"}
            )
            agent_code = await foreign_agent.close_code()
            await bob.ok("leave", room="lobby")
            await eventually(are_occupied, what="the example knows that nobody does")
            forged = await http.post("/events", json={"events": []}, headers={"Tannoy-Signature": "t=1,v1=0"})
        finally:
            await node.close()
            process.kill()
            await process.wait()
    assert (refusal["code"], stranger_code, agent_code, forged.status_code) == ("forbidden", 4501, 4503, 401)
