"""TANNOY_AUTH=hook: a real back end decides who connects and joins, or does not."""

import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from tannoy.fanout.startup import skip_recovery

from tests.support.client import Client
from tests.support.cluster import NodeProcess, Transport
from tests.support.hook_receiver import SETTINGS, Answer, HookReceiver, Request
from tests.support.node import PATIENT
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

Decide = Callable[[dict[str, Any]], Answer]
TIMEOUT = 0.5
"""Seconds in which the back end has to answer."""


class BackEnd:
    """Answers `connect` and `join` as a test says; by default everybody is ada, and may join everything."""

    def __init__(self, receiver: HookReceiver) -> None:
        self.receiver = receiver
        self.reset()

    def reset(self) -> None:
        self.connect: Decide = lambda question: Answer(200, {"user_id": "ada"})
        self.join: Decide = lambda question: Answer(200, {"allow": True})
        self.receiver.requests.clear()
        self.receiver.answer = self._answer

    def _answer(self, request: Request) -> Answer:
        question = request.json
        return self.connect(question) if question["type"] == "connect" else self.join(question)

    def asked(self, type: str) -> list[dict[str, Any]]:
        return [request.json for request in self.receiver.requests if request.json["type"] == type]


@pytest.fixture(scope="module")
def receiver() -> Generator[HookReceiver]:
    with HookReceiver().running() as receiver:
        yield receiver


@pytest.fixture(scope="module", params=[Transport.FAST, Transport.PORTABLE])
async def node(
    anyio_backend: str, receiver: HookReceiver, request: pytest.FixtureRequest
) -> AsyncGenerator[NodeProcess]:
    async with Valkey() as valkey:
        await skip_recovery(valkey.address, "tannoy", PATIENCE)
        settings = {
            **SETTINGS,
            "REDIS_URL": valkey.url,
            "AUTH": "hook",
            "HOOK_AUTH_URL": receiver.url,
            "HOOK_TIMEOUT": str(TIMEOUT),
        }
        node = NodeProcess("n1", request.param, settings, times=PATIENT)
        try:
            await node.start()
            yield node
        finally:
            await node.close()


@pytest.fixture
def back_end(receiver: HookReceiver) -> BackEnd:
    return BackEnd(receiver)


async def refused(node: NodeProcess, path: str = "/ws") -> tuple[str, int]:
    """The code of the error of a client that gets no session, and the close code."""
    client = await Client.open(node.ws_url + path)
    error = await client.expect("error")
    return error["code"], await client.close_code()


async def test_the_back_end_says_who_a_client_is_by_what_the_handshake_brings(
    node: NodeProcess, back_end: BackEnd
) -> None:
    client = await node.connect("/ws", additional_headers={"Authorization": "Bearer of-ada", "Cookie": "session=7"})
    (question,) = back_end.asked("connect")

    assert client.welcome["user_id"] == "ada"
    assert (question["token"], question["headers"]["cookie"]) == ("of-ada", "session=7")
    assert (question["path"], question["address"]) == ("/ws", "127.0.0.1")
    assert all(request.is_signed and request.hook == "questions" for request in back_end.receiver.requests)


@pytest.mark.parametrize(("status", "code", "closed"), [(401, "bad_token", 4501), (403, "forbidden", 4503)])
async def test_a_client_that_the_back_end_refuses_gets_no_session_and_is_told_why(
    node: NodeProcess, back_end: BackEnd, status: int, code: str, closed: int
) -> None:
    back_end.connect = lambda question: Answer(status, {"message": "go away"})
    client = await Client.open(node.ws_url + "/ws")
    error = await client.expect("error")
    assert (error["code"], error["message"], await client.close_code()) == (code, "go away", closed)


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(302), Answer(404), Answer(204)], ids=lambda answer: answer.status
)
async def test_a_back_end_that_fails_lets_nobody_in_and_they_may_try_again(
    node: NodeProcess, back_end: BackEnd, answer: Answer
) -> None:
    back_end.connect = lambda question: answer
    assert await refused(node) == ("unavailable", 1013)


async def test_a_malformed_answer_lets_nobody_in(node: NodeProcess, back_end: BackEnd) -> None:
    back_end.connect = lambda question: Answer(200, {"user": "ada"})
    assert (await refused(node))[0] == "internal"


async def test_a_back_end_that_hangs_lets_nobody_in_in_time_and_costs_other_sessions_nothing(
    node: NodeProcess, back_end: BackEnd
) -> None:
    other = await node.connect("/ws")
    ends = threading.Event()

    def hang(question: dict[str, Any]) -> Answer:
        ends.wait(PATIENCE)
        return Answer(200, {"user_id": "ada"})

    back_end.connect = hang
    try:
        waiting = await Client.open(node.ws_url + "/ws")
        await other.ok("join", room="lobby")
        await other.ok("message", room="lobby", content="still here")
        error = await waiting.expect("error")
    finally:
        ends.set()
    assert error["code"] == "unavailable"
    assert await waiting.close_code() == 1013


async def test_the_back_end_decides_on_each_join(node: NodeProcess, back_end: BackEnd) -> None:
    back_end.join = lambda question: Answer(200, {"allow": question["room"] == "open"})
    client = await node.connect("/ws")
    await client.ok("join", room="open")
    refusal = await client.call("join", room="closed")
    question = back_end.asked("join")[0]

    assert refusal["code"] == "forbidden"
    assert (question["user_id"], question["session_id"]) == ("ada", client.welcome["session_id"])
    await client.ok("message", room="open", content="goes on")


async def test_a_join_that_is_not_answered_is_refused_and_the_session_goes_on(
    node: NodeProcess, back_end: BackEnd
) -> None:
    client = await node.connect("/ws")
    back_end.join = lambda question: Answer(503)
    assert (await client.call("join", room="one"))["code"] == "unavailable"
    back_end.join = lambda question: Answer(200, {"allow": True})
    await client.ok("join", room="two")


async def test_rooms_that_the_answer_to_connect_lists_are_not_asked_about(node: NodeProcess, back_end: BackEnd) -> None:
    back_end.connect = lambda question: Answer(200, {"user_id": "ada", "rooms": ["team.*"]})
    client = await node.connect("/ws")
    await client.ok("join", room="team.1")
    assert (await client.call("join", room="other"))["code"] == "forbidden"
    assert back_end.asked("join") == []


async def test_an_answer_is_used_again_for_as_long_as_it_says(node: NodeProcess, back_end: BackEnd) -> None:
    kept = {"Cache-Control": "private, max-age=60"}
    back_end.connect = lambda question: Answer(200, {"user_id": "ada"}, kept)
    back_end.join = lambda question: Answer(200, {"allow": True}, kept)
    for _ in range(2):
        client = await node.connect("/ws", additional_headers={"Cookie": "kept"})
        await client.ok("join", room="kept")
    assert (len(back_end.asked("connect")), len(back_end.asked("join"))) == (1, 1)
    await node.connect("/ws", additional_headers={"Cookie": "another"})
    assert len(back_end.asked("connect")) == 2
