"""The rate of handshakes of a client address, behind a trusted proxy, over every transport.

The tests are the proxy: they connect from loopback, and write X-Forwarded-For as one does.
"""

import re
import time
from collections.abc import AsyncGenerator

import pytest
from tannoy.node.auth.signing import sign_token

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import PATIENT
from tests.support.raw_http import HANDSHAKE, Answer, RawHttp
from tests.support.waiting import eventually

AT_ONCE = 5
REFUSALS_AT_ONCE = 100
"""Refusals of a session, after which it is closed."""
SECRET = "a-secret-that-only-the-back-end-and-the-nodes-know"


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def node(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    """One handshake an hour, so that none comes back during a test."""
    settings = {"RATE_CONNECTS": "1/h", "RATE_COMMANDS": "1/h", "TRUSTED_PROXIES": "127.0.0.1", "LOG_FORMAT": "json"}
    tokens = {"AUTH": "jwt", "JWT_SECRET": SECRET}
    async with Cluster(nodes=1, transport=request.param, times=PATIENT, **settings, **tokens) as running:
        yield running.nodes[0]


async def shake_hands(node: NodeProcess, *forwarded_for: str, token: str | None = None) -> Answer:
    """Without a token the client is accepted, and would have to send one in its first frame."""
    fields = [f"X-Forwarded-For: {value}" for value in forwarded_for]
    if token is not None:
        fields.append(f"Authorization: Bearer {token}")
    async with RawHttp.to(node.port) as http:
        return await http.request(
            "\n".join([f"GET {node.prefix}/ws HTTP/1.1", "Host: chat.example", HANDSHAKE, *fields])
        )


async def test_handshakes_beyond_the_rate_are_answered_with_429_counted_and_logged(node: NodeProcess) -> None:
    before = (await node.diagnostics())["refused"]["rate_limited"]
    answers = [await shake_hands(node, "203.0.113.1") for _ in range(AT_ONCE + 2)]
    refused = answers[-1]

    assert [answer.status for answer in answers] == [101] * AT_ONCE + [429] * 2
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.json()["status"], refused.json()["code"]) == (429, "rate_limited")
    assert refused.json()["detail"] == "too many handshakes from this address: 1/h are allowed"
    assert 3500 < refused.json()["retry_after"] <= 3600
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    assert (await node.diagnostics())["refused"]["rate_limited"] - before == 2

    async def is_logged() -> bool:
        return re.search(r"address\W+203\.0\.113\.1\b", node.log()) is not None

    await eventually(is_logged, what="the refusal is logged with the address")


async def test_another_client_of_the_same_proxy_is_admitted(node: NodeProcess) -> None:
    for _ in range(AT_ONCE + 1):
        await shake_hands(node, "203.0.113.2")

    assert (await shake_hands(node, "203.0.113.3")).status == 101


async def test_what_a_client_writes_into_the_header_changes_nothing(node: NodeProcess) -> None:
    """It stands in front of the address that the proxy adds, in the same line, or in one of its own as with HAProxy."""
    one_line = [(await shake_hands(node, f"192.0.2.{n}, 203.0.113.4")).status for n in range(AT_ONCE)]
    two_lines = [(await shake_hands(node, f"192.0.2.{n}", "203.0.113.4")).status for n in range(2)]

    assert one_line == [101] * AT_ONCE
    assert two_lines == [429] * 2


async def test_handshakes_that_are_refused_for_their_token_count_as_any_other(node: NodeProcess) -> None:
    before = (await node.diagnostics())["refused"]
    answers = [await shake_hands(node, "203.0.113.5", token="no.good.token") for _ in range(3 * AT_ONCE)]

    assert [answer.status for answer in answers] == [101] * AT_ONCE + [429] * 2 * AT_ONCE
    after = (await node.diagnostics())["refused"]
    assert after["token_malformed"] - before["token_malformed"] == AT_ONCE, "no other token was looked at"
    assert after["rate_limited"] - before["rate_limited"] == 2 * AT_ONCE
    assert (await shake_hands(node, "203.0.113.5")).status == 429
    assert (await shake_hands(node, "203.0.113.6")).status == 101


async def test_after_a_session_that_was_closed_for_sending_too_much_its_address_makes_no_handshake(
    node: NodeProcess,
) -> None:
    token = sign_token(SECRET, subject="ada", expires_at=time.time() + 600)
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.7"}
    client = await Client.open(f"{node.ws_url}/ws", additional_headers=headers)
    for _ in range(AT_ONCE + REFUSALS_AT_ONCE + 1):
        await client.send("ping")
    assert (await client.bye())[1] == 1013

    assert (await shake_hands(node, "203.0.113.7")).status == 429
    assert (await shake_hands(node, "203.0.113.8")).status == 101
